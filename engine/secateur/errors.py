"""The one error that is the user's to mend.

Everything a user can get wrong (a file, an option, a domain) ends in an `InputError` whose text is one line: what is
wrong, where, and what to do. The command line prints that line and exits with 2; scripts catch it. Any other exception
is a fault of ours and is never turned into a verdict.
"""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input, said in one line: what, where, what to do.

    Parameters
    ----------
    problem : what is wrong, without a full stop.
    where : the file, and the node, line or coordinate in it; empty where there is none.
    remedy : what the user can do; empty where it is obvious.
    """

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        text = f"{where}: {problem}" if where else problem
        super().__init__(" ".join((f"{text}; {remedy}" if remedy else text).split()))

    def about(self, where: str) -> InputError:
        """The same of `where`, which whoever raised it did not know; itself where it says already what it is about."""
        return self if self.where else InputError(self.problem, where=where, remedy=self.remedy)
