"""The sentences of the model card that do not depend on a run."""

from typing import Final

WITHIN: Final = """\
- Within {source}, where the source gives nothing away, it reaches an AUROC of {auroc}; a model that sees no anatomy \
reaches {cues}.
"""

ACROSS: Final = """\
- Over films of several sources ({films}) it reaches {auroc}; a model that sees no anatomy reaches {cues}: such a \
number says little.
"""

LUNGS: Final = """\
- On the same films {only} is left with nothing but the lungs, and {without} with the lungs blacked out (chance is 0.5).
"""

ATTENTION: Final = """\
- On positive films {cam} of the evidence lies outside the lungs (mean); {flat} of a map that is the same everywhere.
"""

SOURCE: Final = """\
- Its features still tell the source of a film with a balanced accuracy of {told} (chance {chance}).
"""

HOW_TO_READ: Final = """\
A criterion that is not kept is printed like one that is; one that could not be measured is not kept. What each asks,
and why its limit is where it is: docs/training.md.
"""

SHORTCUTS: Final = """\
How much of the score comes from elsewhere than the lungs. *Only lungs*: everything else is black. *Lungs blacked out*:
the lungs are black; a network that reads nothing but lungs is then at chance (0.5), but their outlines and size are
still to be seen. *Trivial cues*: a gradient-boosted model of aspect ratio, size, borders and grey levels, which sees no
anatomy, fitted on the films that the network was trained on; a number is only worth what it has beyond it. Within a
source that holds both classes the source gives nothing away; pooled numbers mix the sources. {without} films on which
not both lungs were found are left out.
"""

SOURCE_PROBE: Final = """\
A linear model reads the source of a film from the network's pooled features, on held-out patients. At chance the
network has forgotten where a film comes from; within one class the disease cannot help it.
"""

ROBUSTNESS: Final = """\
Up to a hundred films, changed as no reader would notice, through the whole serving path. *map correlation* is that of
the class activation map with the untouched film's.
"""

CALIBRATION: Final = """\
Calibration error over fifteen bins of equal mass. *chance* is what perfectly calibrated probabilities would reach on as
many films in one of twenty cases. *calibrated for* leaves out the purely paediatric sources without a positive.
"""

CALIBRATED_HERE: Final = """\
**The calibration was fitted on these very films**: the numbers flatter it.
"""

LOCALISATION: Final = """\
Where the maps of {interest} (of interest) and {overlap} (overlapping) point, against what radiologists drew. *Hit*: the
maximum lies inside. *Energy*: share of the map inside. Flat maps are misses. Paired differences: report.json.
"""

SANITY: Final = """\
The weights of one expert, the other, or both are made random from the top down, and the map is compared with the
trained one: rank correlation over the cells, {films} films, {seeds} sets of random weights. A map that stays alike
shows the film, not the network.
"""

FAITHFULNESS: Final = """\
Cells are taken away (deletion: the lower the better) and put back (insertion: the higher the better) in the order of a
map; the numbers are the mean change of the margin ({margin}) over {films} films.
"""

BIASES: Final = """\
- **The source is the label.** COVID-19 films come from case collections (ieee8023, COVID-CXNet), the others from
  Kermany and NIH. The aspect ratio alone reaches an AUROC of 0.93 on the test films without Kermany, because every
  NIH file is square. A pooled number therefore shows next to nothing; what counts is a number *within* a source.
- **Children.** All Kermany films are of children aged 1 to 5 from one hospital; almost all COVID-19 films are of
  adults. A network that separates them may only have learnt age. Adults and children are listed apart.
- **2020.** COVID-19 films are from the first half of 2020: early waves, severe disease, no vaccination, no later
  variant.
- **Viral against bacterial** rests on the Kermany children and a few dozen adults. Nothing can be claimed for adults.
- **Burned-in marks.** Letters, arrows and drawn boxes of journal figures occur almost only in COVID-19 films.
- **Portable films.** AP and intensive-care films with lines are over-represented in COVID-19.
- **Noisy labels.** NIH labels are mined from reports; some COVID-19 films were called clear by their own source.
- Sex, age and view are not stated for many films. No film of another hospital is in these tables.
"""

INTENDED: Final = """\
*Intended*: research on what tells one disease from another on frontal chest films: class activation maps, their
directed divergence, and how much of a score is shortcut. A reader who knows chest films looks at every answer.

*Not intended*: diagnosis, triage, treatment, screening of people, ruling a disease out, lateral films, other body
parts, CT, photographs of films, and children unless a row below says how well it does on them. A chest film cannot
replace a laboratory test for COVID-19.
"""

EXPERT: Final = """\
A binary expert: it says whether a frontal chest film shows signs of **{target}** or not. Two logits; index 1 is
in-class, index 0 everything else (other pneumonia, other disease and clear films alike).
"""

MEMBER: Final = """\
A member of the multi-label ensemble: {count} labels in a hierarchy, one sigmoid each. Serving corrects a child that is
above its parent.
"""

NOT_EVALUATED: Final = """\
**Not evaluated.** This version was exported without an evaluation; do not rely on it.
"""

EVALUATED: Final = """\
{films} films through the exported network and the serving path's preprocessing; {refused} refused. Intervals: 95 %,
1,000 resamplings of patients. The test part was read {reads} time(s) for this version. *source X* is within one
source; *without X* leaves a purely paediatric source out. The pooled row is never to be quoted alone. `sens` and `spec`
are sensitivity and specificity at the operating point that was fixed on validation. Where every film went one way,
the interval is Wilson's over the patients (sensitivity, specificity) or left out (AUROC).
"""

ON_VALIDATION: Final = """\
**These are validation films: the epoch, the calibration and the operating points were chosen on them.** The numbers are
kinder than those of new films, and the first trial's are of the test part.
"""

NO_POSITIVE: Final = """\
Labels without one positive film in this part: nothing can be said but how many films they call positive at 0.5.
"""

LEFT_OUT: Final = """\
For {label} the calibration and the thresholds were chosen **without {sources}**: purely paediatric, without one
positive, and told from the positives by age alone.
"""

RUN_FILMS: Final = """\
The run used {train} films for training and {val} for choosing the epoch (films whose label is unknown are left out). No
patient group stands in two parts; a run fails if one does.
"""

LICENCES: Final = """\
Licences of the films of training and validation, as the sources state them. No film is distributed here.
"""
