"""What a workflow step costs, in trioflow and elsewhere, and where its microseconds go: `python -m benchmarks`.

Absolute times say more about the machine than about the code, so nearly everything here is a ratio: trioflow and
what it is compared with take turns in one process, and each round gives one ratio. CPU time is read where one thread does
it all, wall time where there are more. A result that is wrong by value fails the run, because a fast wrong answer is no
answer; what can't be measured is a row that says why, and is not left out.

    python -m benchmarks                          Trio's own prices, and trioflow beside them: about a minute
    python -m benchmarks --all                    and the rarer cases
    python -m benchmarks --peers                  other systems, those that are installed: pip install -e '.[bench]'
    python -m benchmarks --scale --memory         1,000 to 1,000,000 steps
    python -m benchmarks --where                  what each part of a step costs
    python -m benchmarks --json new.json --compare old.json --plot pictures

The map, from the ground up; imports go only down:

- `_budgets.py` what each claim may cost, `_measure.py` the timer;
- `graphs.py` the shapes, `bodies.py` what the steps do and which values must come out;
- `ours.py` a graph on trioflow, `floors.py` the same shape in bare tasks, `by_hand.py` a runner that one would write;
- one file per claim: `prices.py steps.py asleep.py dependencies.py declaring.py runs.py demands.py stopping.py
  extras.py handwritten.py size.py scale.py memory.py resident.py importing.py where.py`. Each says in its first lines
  what would change our mind;
- `peers/` the other systems, a file each;
- `catalogue.py` all cases in order, `_report.py` what is printed, `_kept.py` what is kept, `_compare.py` what has changed
  since, `_plot.py` the pictures, `_options.py` and `__main__.py` the command;
- `endurance.py` graphs as large as they get, a command of its own.

Only `trioflow.run_workflow` and `step.do` are used (`where.py` apart): another runtime with these two can be measured in
its place.
"""
