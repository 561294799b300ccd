"""Sweeps: data set x target domain x trial seed x method x member x bits, run by run.

Experiments (`experiment.py`) become trials and ensembles (`plan.py`), these become commands
(`commands.py`), an engine carries them out (`engine.py`), and what is finished is what is whole on
the disk (`state.py`). Start from `Sweep` in `sweep.py`; the program is `tools/sweep.py`.

    <output>/<group>/        runs of one choice of settings, as `qtdog_tf/runs.py` says
    <output>/sweep.json      the command of every task, its attempts, and why it failed
    <output>/logs/           what each task printed
    <output>/probe.json      seconds a step and an image, measured for the plan
    <output>/broken/         runs with damaged files, moved here before they were done again
    .<output>.lock           held by the sweep at work
"""
