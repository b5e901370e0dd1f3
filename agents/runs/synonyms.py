"""The option that somebody means who types another toolkit's word for it, or a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches

# Our word, and what Stable-Baselines3, CleanRL, RLlib, Sample Factory, torchbeast, PySC2 and people at large call it.
WORDS = {
    "learning_rate": "lr alpha stepsize learningrate initlr",
    "schedule": "lrschedule annealing anneallr lrdecay learningrateschedule",
    "optimizer": "optim opt",
    "epsilon": "eps adameps adamepsilon optimizereps rmspropepsilon",
    "gamma": "discount discounting discountfactor",
    "gae_lambda": "lambda lam gaelam lambdagae",
    "clip": "cliprange clipcoef clipparam clipratio epsclip clipeps ppoclip ppoclipratio",
    "value_clip": "cliprangevf vfclipparam vfclip valueclipping clipvloss ppoclipvalue",
    "entropy_coefficient": "entcoef entropycoeff entropycoef entropycost entropylosscoeff exploration entropybeta",
    "value_coefficient": "vfcoef valuecoef valuelosscoeff vflosscoeff baselinecost criticcoef valuelosscoef",
    "max_gradient_norm": "maxgradnorm gradclip gradnormclipping gradientclip clipgrad gradclipnorm gradnorm",
    "normalize_advantages": "normadv normalizeadvantage advnorm",
    "normalize_returns": "normalizereward normreward normalizerewards popart vecnormalize",
    "target_kl": "kltarget maxkl",
    "unroll": "nsteps numsteps rollout rolloutlength rolloutfragmentlength unrolllength horizon trajectorylength",
    "epochs": "nepochs numepochs updateepochs numsgditer noptepochs ppoepochs",
    "minibatch": "batchsize minibatchsize sgdminibatchsize batch trainbatchsize numminibatches nminibatches",
    "rho_clip": "rhobar cliprho vtracecliprhothreshold vtracerho cliprhothreshold",
    "c_clip": "cbar vtraceclipcthreshold vtracec clipcthreshold",
    "total_steps": (
        "timesteps totaltimesteps ntimesteps numtimesteps steps maxsteps trainsteps trainforenvsteps totalframes "
        "maxtimesteps totalenvsteps frames"
    ),
    "num_envs": "nenvs envs numenvironments numactors parallelenvs numenvsperworker nenvsperworker numenv nproc",
    "workers": "numworkers nworkers numenvrunners numrolloutworkers processes",
    "env": "envid envname gymid task environment game map mapname",
    "env_option": "envkwargs envconfig envargs envoption",
    "run_dir": "logdir logpath outputdir output savedir savepath logfolder expname experimentname runname name",
    "evaluation_episodes": "nevalepisodes numeval evaluationduration evalfreq",
    "evaluation_sampled": "stochastic deterministic evalstochastic evaldeterministic",
    "checkpoint_interval": "savefreq savefrequency saveinterval checkpointfreq saveeverysec checkpointevery",
    "keep_checkpoints": "maxcheckpoints keepcheckpoints checkpointstokeep",
    "algorithm": "algo alg agent",
    "resume": "load loadmodel trainedagent restore restorefrom pretrained loadcheckpoint continue",
    "device": "cuda gpu usecuda numgpus nocuda accelerator",
    "threads": "numthreads nthreads torchthreads",
    "config": "configfile conf yaml conffile",
    "reference": "teacher klteacher prior",
    "latent_width": "hiddensize hiddendim dmodel width netarch hiddensizes fchiddens hidden embeddim",
    "self_attends": "numlayers nlayers layers depth",
    "heads": "nhead nheads numheads",
    "memory": "lstm uselstm recurrent rnn usernn usememory",
    # of evaluating and watching
    "episodes": "nevalepisodes evalepisodes numepisodes nepisodes games",
    "sampled": "stochastic deterministic nodeterministic",
    "json": "output outputfile out",
    "video": "output outputfile out record videofolder",
}
ANSWERS = {
    "tensorboard tensorboardlog track wandb wandbproject log logger": (
        "curves are always written, for TensorBoard, to tensorboard/ in the run folder"
    ),
    "render rendermode renderhuman visualize capturevideo savevideo": "perceiver-rl watch makes a video of a run",
}


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


# Their word -> ours, in order.
OURS: dict[str, list[str]] = {}
for _ours, _theirs in WORDS.items():
    for _word in _theirs.split():
        OURS.setdefault(_word, []).append(_ours)


def meant(word: str, options: Collection[str], first: str = "", spell: Callable[[str], str] = str) -> str:
    """``"; did you mean 'X'?"`` for the option among ``options`` (dotted) that ``word`` stands for, or nothing.

    Of options that differ in their group alone that of the group ``first`` is meant; ``spell`` writes an option.
    """
    name = _find(word, options, first)
    if name:
        return f"; did you mean {spell(name)!r}?"
    plain = _plain(word.rpartition(".")[2])
    return next((f"; {answer}" for words, answer in ANSWERS.items() if plain in words.split()), "")


def _find(word: str, options: Collection[str], first: str) -> str | None:
    group, _, last = word.rpartition(".")
    by_last: dict[str, str] = {}
    for name in sorted(options, key=lambda name: (not name.startswith(f"{group}."), not name.startswith(f"{first}."))):
        by_last.setdefault(_plain(name.rpartition(".")[2]), name)
    plain = _plain(re.sub("^no[-_]", "", last))
    for candidate in (plain, *map(_plain, OURS.get(plain, ()))):
        if candidate in by_last:
            return by_last[candidate]
    if any(plain in words.split() for words in ANSWERS):
        return None
    whole = {name.replace("-", "_"): name for name in options}
    near = get_close_matches(word.lower().replace("-", "_"), whole, n=1)
    if near:
        return whole[near[0]]
    near = get_close_matches(plain, by_last, n=1)
    return by_last[near[0]] if near else None
