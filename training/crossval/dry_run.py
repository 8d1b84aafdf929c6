"""What a cross-validation would do, and how long one measured step of each network says it takes."""

from training.card_tables import table
from training.crossval.cross_validation import Plan
from training.crossval.results import facts_of
from training.lung_finder import LungFinder
from training.plan import duration, measured_step
from training.train import TrainingSet


def described(plan: Plan, lungs: LungFinder | None = None) -> str:
    """Write the folds, and the cost of each network; nothing is kept.

    Parameters
    ----------
    plan, lungs
        As `training.crossval.cross_validation.cross_validate` takes them.
    """
    recipe = plan.recipe
    rows = []
    for facts in map(facts_of, plan.folds):
        sizes = [f"{facts.films[part]} films of {facts.patients[part]}" for part in ("train", "val", "test")]
        there = ", ".join(f"{label} {count}" for label, count in facts.positives.items() if count)
        rows.append((facts.fold, *sizes, there))
    first = plan.folds[0]
    drawn = recipe.draws_per_epoch or len(first.train)
    amount = f"{len(plan.folds)} folds of at most {recipe.epochs} epochs of {drawn} films at {recipe.size_px} px"
    lines = [
        table(("Fold", "Train", "Validate", "Test", "Positives tested"), rows),
        f"{amount}, in batches of {recipe.batch_size}",
    ]
    steps = -(-drawn // recipe.batch_size) * recipe.epochs * len(plan.folds)
    for architecture in plan.architectures:
        step = measured_step(plan.recipe_of(architecture), TrainingSet(first.train, first.val, plan.manifests), lungs)
        total = duration(steps * step.seconds)
        lines.append(f"{architecture}: one step took {step.seconds:.2f} s, so at most about {total} to train all folds")
    return "\n".join(lines)
