"""FHIR R4 at the edge: results and audit events as resources, and the client that takes them to a server."""
