"""What a step, a run and a demand cost, beside bare Trio tasks of the same shape: `python -m benchmarks`.

Absolute times say more about the machine than about the code, so nearly everything here is a ratio: trioflow and
what it is compared with take turns in one process, and each round gives one ratio. A result that is wrong by value
fails the run, because a fast wrong answer is no answer.

The map, from the ground up; imports go only down:

- `_budgets.py` what each claim may cost, `_measure.py` the timer, `_report.py` what is printed and kept;
- `graphs.py` the shapes, `bodies.py` what the steps do and which values must come out;
- `ours.py` a graph on trioflow, `floors.py` the same shape in bare tasks, `by_hand.py` a runner that one would write;
- one file per claim: `steps.py asleep.py dependencies.py declaring.py runs.py demands.py stopping.py handwritten.py
  size.py memory.py importing.py`. Each says in its first lines what would change our mind;
- `catalogue.py` all cases in order, `__main__.py` the command;
- `endurance.py` graphs as large as they get, a command of its own.

Only `trioflow.run_workflow` and `step.do` are used: another runtime with these two can be measured in its place.
"""
