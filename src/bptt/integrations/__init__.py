"""Other people's frameworks: the only room, with `lm`, that imports them, and only when one is asked for.

| module | has |
|---|---|
| `lightning` | `MonitorCallback` for Lightning's `Trainer` |
| `transformers` | `MonitorCallback` for Hugging Face's `Trainer` |
| `tensorboard`, `wandb`, `mlflow` | sinks: for `bptt.Monitor(..., sinks=[...])`, both callbacks, `bptt run --to` |
| `ray_sweep` | the processes of `bptt sweep` |

Accelerate needs nothing: `bptt.Monitor` takes what `accelerator.prepare` gives, and `bptt run` watches its scripts.
"""
