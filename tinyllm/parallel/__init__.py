"""Several workers for one training: a team runs a task once on each of its members, side by side.

team.py says what a team is, threads.py and processes.py are two, `choose_team` takes the faster one that is safe here.
What a training does with one is in training/data_parallel.py, written once for all kinds of teams.
"""

from .choose import choose_team, cores
from .processes import Processes, WorkerDied
from .team import Team
from .threads import Threads

__all__ = ["Processes", "Team", "Threads", "WorkerDied", "choose_team", "cores"]
