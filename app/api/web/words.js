/** What the service's names, flags and error codes mean, in words for a reader of films. */

const NAMES = {
  covid19: "COVID-19", "covid-19": "COVID-19", sars: "SARS", mers: "MERS", ards: "ARDS", no_finding: "No finding",
};

/** A class's or label's name as a reader writes it; unknown names are only tidied. */
export function className(name) {
  const known = NAMES[String(name).toLowerCase()];
  if (known) return known;
  const spaced = String(name).replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** The name inside a sentence: acronyms keep their capitals. */
export function inSentence(name) {
  const title = className(name);
  return /^[A-Z0-9-]+$/.test(title) ? title : title.charAt(0).toLowerCase() + title.slice(1);
}

const FLAGS = {
  no_positive_evidence: ["caution", "The expert's map has no cell that argues for its class. It counts as zero everywhere."],
  "x:no_positive_evidence": ["caution", "The map of the class of interest has no cell in favour of its class; it counts as zero everywhere."],
  "x':no_positive_evidence": ["caution", "The map of the overlapping class has no cell in favour of its class; it counts as zero everywhere."],
  flat_heat_map: ["caution", "The two maps agree everywhere, so the directed divergence is flat and shows nothing."],
  negligible_evidence: ["caution", "All the evidence on this map together hardly moves the expert's answer (less than 0.01 logits). Its scale would show noise in full colour, so nothing is drawn."],
  "x:negligible_evidence": ["caution", "The map of the class of interest holds hardly any evidence. What the divergence would show is noise, so nothing is drawn."],
  "x':negligible_evidence": ["caution", "The map of the overlapping class holds hardly any evidence; where it seems to speak against the class of interest, it is noise."],
  nothing_specific: ["caution", "Nowhere on this film does more speak for the first class than for the second (ln K stays below 0.1). What looks hot is only where neither finds anything."],
  peak_outside_film: ["warning", "The strongest cell of this map lies in the padding around the film: the network reacts to the border, not to anything on the film."],
  out_of_class_map: ["caution", "This map shows what speaks against the expert's class, because the map of the predicted class was asked for."],
  low_contrast_map: ["caution", "The differences in this map are very small (range of ln K below 0.1). Its colours may show noise."],
  would_overflow_float16: ["note", "The largest K is beyond half precision. Discern computes in double precision; the map is unaffected."],
  would_overflow_float32: ["note", "The largest K is beyond single precision. Discern computes in double precision; the map is unaffected."],
  overflow_float64: ["note", "The largest K is too large to write as a number; only ln K is reported. The map is unaffected."],
  converted_from_colour: ["note", "The file was in colour and was converted to grey."],
  voi_window_missing: ["note", "The DICOM file names no display window; the full range of its pixel values was used."],
  voi_window_invalid: ["caution", "The DICOM file's display window is not valid; the full range of its pixel values was used."],
  several_voi_alternatives: ["note", "The DICOM file names several display windows; the first was used."],
  rescale_invalid: ["caution", "The DICOM file's rescaling is not valid; the stored values were used."],
  padding_blackened: ["note", "Padding around the film, as the file names it, was set to black."],
  alpha_composited: ["note", "The file had transparent parts; they were laid over black."],
  jpeg_irregular: ["caution", "The JPEG file has irregularities, but could be read."],
  file_meta_missing: ["note", "The DICOM file lacks its file header; it was read all the same."],
  decubitus_view: ["caution", "The film was taken lying on the side (decubitus); the networks have learnt upright and supine films."],
  modality_contradicts_object: ["caution", "The DICOM header names another modality than a radiograph; the pixels decide."],
  modality: ["warning", "The file says it is not a radiograph."],
  low_resolution: ["caution", "The part of the film that the experts see has fewer pixels than their input; it was enlarged, and fine detail cannot be judged."],
  inverted: ["warning", "The film looks inverted: air bright, bone dark. The experts were not measured on such films, so they decide nothing."],
  rotated: ["warning", "The film looks turned by a quarter or a half. The experts were not measured on such films, so they decide nothing."],
  paediatric: ["caution", "This looks like the film of a child. Experts that were measured on adults only decide nothing here."],
  cropped: ["caution", "A lung is cut off by the edge of the film; what lies beyond was not seen."],
  lungs_not_found: ["warning", "Both lungs were not found. Experts that look at the lungs’ part of a film were given the whole image, and no map can be related to the lungs."],
  gate_not_a_chest_radiograph: ["warning", "The input check does not take this image for a frontal chest film."],
  gate_lateral_view: ["warning", "The input check takes this for a lateral view; the networks have learnt frontal films only."],
  gate_low_contrast: ["warning", "Almost all of the image has one of two grey levels, as a blank, burnt or printed page has."],
  child_above_parent: ["note", "A finding scored higher than the group it belongs to; it was lowered to the group's probability."],
  ensemble_not_fitted: ["caution", "The mean of the networks was not calibrated and its thresholds are those of the first network: nothing was measured of the mean."],
  forced: ["warning", "Answered on request, whatever the input check says. Where it would have refused the image, the numbers may mean nothing."],
  not_a_chest_radiograph: ["warning", "The input check does not recognise this image as a frontal chest film."],
  lateral_view: ["warning", "The input check takes this for a lateral view; the networks have learnt frontal films only."],
  low_contrast: ["warning", "The film has hardly any contrast."],
  for_processing: ["warning", "The pixels are raw detector data (FOR PROCESSING), not prepared for viewing."],
  too_small: ["warning", "The image is smaller than the networks' input."],
  burned_in_annotation: ["caution", "The film carries annotations in its pixels, which networks may react to."],
  orientation_applied: ["note", "The file's orientation mark was applied."],
  empty_region: ["caution", "Hardly anything on this film (less than 0.1 % of it) is predicted to be of this kind; there is nothing to outline."],
  saturated_region: ["caution", "Nearly the whole film (more than 80 % of it) is predicted to be of this kind; the outline says nothing."],
  page_and_service_disagree: ["warning", "The page and the service compute different divergences. Do not rely on this map; tell whoever runs the service."],
};

const DOUBTS = {
  inverted: "an inverted film", rotated: "a turned film", paediatric: "a child", lungs_not_found: "lungs not found",
  gate_not_a_chest_radiograph: "not a frontal chest film", gate_lateral_view: "a lateral view", gate_low_contrast: "hardly any contrast",
};

/** Why an expert decides nothing, in few words; its flags are explained in full in the notes. */
export function doubtWords(flags) {
  return flags.map((flag) => DOUBTS[flag] ?? String(flag)).join(", ");
}

/**
 * {level: "note"|"caution"|"warning", text} of a flag. `overridden:REASON` is the words of the reason,
 * `child_above_parent:LABEL` names the label; unknown flags are shown for what they are.
 */
export function flagWords(flag) {
  const text = String(flag);
  if (FLAGS[text]) return { level: FLAGS[text][0], text: FLAGS[text][1], known: true };
  const [kind, subject] = text.split(":", 2);
  if (kind === "child_above_parent" && subject) return { level: FLAGS[kind][0], text: loweredWords(subject.split(",")), known: true };
  if (kind === "overridden" && FLAGS[subject]) return { level: "warning", text: FLAGS[subject][1], known: true };
  return { level: "note", text, known: false };
}

function loweredWords(labels) {
  const names = labels.map(className);
  if (names.length === 1) return `${names[0]} scored higher than the group it belongs to; it was lowered to the group's probability.`;
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)} scored higher than the groups they belong to; they were lowered to the groups' probabilities.`;
}

/** Flags with the labels of all `child_above_parent:LABEL` joined into one, `child_above_parent:LABEL,LABEL`. */
export function mergedFlags(flags) {
  const prefix = "child_above_parent:";
  const lowered = flags.filter((flag) => String(flag).startsWith(prefix));
  if (lowered.length < 2) return flags;
  return [...flags.filter((flag) => !lowered.includes(flag)), prefix + lowered.map((flag) => flag.slice(prefix.length)).join(",")];
}

const PROBLEMS = {
  not_a_chest_radiograph: ["This does not look like a frontal chest film.", "Discern answers only for frontal (PA or AP) chest radiographs. Check that the right image was chosen."],
  lateral_view: ["This appears to be a lateral view.", "The networks have learnt frontal films only. Choose the PA or AP view of the study."],
  low_contrast: ["The image has almost no contrast.", "It may be blank, fully dark, or exported with the wrong window. Export it again from the viewer or archive."],
  for_processing: ["This is raw detector data (“for processing”).", "Choose the version of the film that is meant for viewing (“for presentation”)."],
  too_small: ["The image is too small to judge.", "It may be a thumbnail or a screenshot. Choose the film at its full size."],
  multi_frame: ["The file holds several frames.", "Discern answers for single films. Export the frame you want as one image."],
  no_pixels: ["The DICOM file holds no image.", "It may be a report or a presentation state. Choose the film itself."],
  modality: ["This file is not a radiograph.", "Discern reads CR, DX and secondary-capture films, not CT, MR or ultrasound."],
  refused: ["The film was refused.", "It can be read, but Discern does not answer for images of this kind."],
  unsupported_format: ["This kind of file cannot be read.", "Discern reads PNG, JPEG and DICOM films."],
  unreadable_image: ["The file is damaged or incomplete.", "It could not be read to the end. Export or transfer it again."],
  too_large: ["The file is too large.", "It exceeds the limit of this service. Export the film alone, without the rest of the study."],
  overloaded: ["The service is busy.", "All its places are taken. The film was not examined; try again in a moment."],
  deadline_exceeded: ["The answer took too long.", "The service may be busy. Try again in a moment."],
  invalid_request: ["The request was not understood.", "One of the settings is out of range; the technical detail names it."],
  model_not_found: ["The chosen pair of classes is not available.", "Choose another class of interest or overlapping class."],
  not_ready: ["The service is still starting.", "Its models are being verified. Try again in a moment."],
  artifact_invalid: ["A model of this service failed its verification.", "Tell whoever runs the service; no film is examined with it."],
  INVALID_ALPHA: ["The amplification is not valid.", "α must be greater than 0 and at most 700."],
  SHAPE_MISMATCH: ["The two experts cannot be compared.", "Their maps have different grids or cover different parts of the film."],
  EMPTY_MAP: ["The experts' maps are empty.", "No divergence can be drawn."],
  NON_FINITE_MAP: ["An expert's map is not usable.", "It contains values that are not numbers."],
  empty_file: ["The file is empty.", "It has no bytes. Export or transfer it again."],
  network: ["The service cannot be reached.", "Check the connection, or whether the service is running. Your film has not been lost; try again."],
  timeout: ["No answer arrived in time.", "The service may be busy or unreachable. Try again."],
  unexpected_answer: ["The answer could not be understood.", "It may come from a proxy in between, or from another version of the service."],
};

const BY_STATUS = {
  400: "unreadable_image", 413: "too_large", 415: "unsupported_format", 422: "refused", 429: "overloaded",
  503: "overloaded", 504: "deadline_exceeded",
};

/** Codes of the input check: a reader may ask for an answer all the same. */
export const REFUSALS = ["not_a_chest_radiograph", "lateral_view", "low_contrast", "for_processing", "too_small"];
const PASSING = ["overloaded", "deadline_exceeded", "not_ready", "network", "timeout"];

/** A failed request as {title, advice, mayForce, mayRetry}. */
export function problemWords({ code, status }) {
  const key = PROBLEMS[code] ? code : BY_STATUS[status];
  const [title, advice] = PROBLEMS[key] ?? ["The film could not be examined.", "An unexpected failure. The technical detail below helps whoever runs the service."];
  return { title, advice, mayForce: REFUSALS.includes(code), mayRetry: PASSING.includes(key) || status >= 500 };
}
