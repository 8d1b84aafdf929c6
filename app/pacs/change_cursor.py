"""Where the reading of an Orthanc's changes stands, and what tells that list from another one."""

import json
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class ChangeCursor:
    """What must outlive us.

    Attributes
    ----------
    since
        Everything up to the change of this number was looked at.
    mark, date
        What that change was, and when; empty where nothing was read.
    replay_until
        Up to this number the list is one that began anew: films that are known are not fetched again.
    connected
        The day this source was first read, ``YYYYMMDD``; empty where everything is wanted. In a list that began anew,
        studies of before are none of ours.
    set_aside
        Instances that could not be fetched, and how often it was tried.
    """

    since: int = 0
    mark: str = ""
    date: str = ""
    replay_until: int = 0
    connected: str = ""
    set_aside: dict[str, int] = field(default_factory=dict)

    def moved(self, since: int, mark: str, date: str) -> None:
        """Move on to a change."""
        self.since, self.mark, self.date = since, mark, date

    def began_anew(self, last: int) -> None:
        """Read from the beginning."""
        self.moved(0, "", "")
        self.replay_until = last

    def text(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "ChangeCursor":
        """Read what was written down.

        Raises
        ------
        ValueError
            If it is something else.

        Examples
        --------
        >>> ChangeCursor.from_text(ChangeCursor(7, "NewInstance a", "20261125T070000").text()).since
        7
        """
        try:
            found = json.loads(text)
            return cls(
                since=int(found["since"]),
                mark=str(found["mark"]),
                date=str(found["date"]),
                replay_until=int(found["replay_until"]),
                connected=str(found["connected"]),
                set_aside={str(name): int(count) for name, count in found["set_aside"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("no cursor of changes") from error
