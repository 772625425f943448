"""Recurrent actor-critic on a cue-recall bandit; returns, advantages and the critic's states are detached."""

import torch
from torch import nn
from torch.distributions import Categorical


class Agent(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.core = nn.GRUCell(3 + 2, d)
        self.pi = nn.Linear(d, 2)
        self.v = nn.Linear(d, 1)
        self.d = d


def rollout(agent, B=64, T=6):
    cue = torch.randint(0, 2, (B,))
    h = torch.zeros(B, agent.d)
    prev = torch.zeros(B, 2)
    logps, values, rewards, ents = [], [], [], []
    for t in range(T):
        obs = torch.zeros(B, 3)
        if t == 0:
            obs[torch.arange(B), cue] = 1.0
        obs[:, 2] = 1.0 if t >= 2 else 0.0
        h = agent.core(torch.cat([obs, prev], -1), h)
        dist = Categorical(logits=agent.pi(h))
        a = dist.sample()
        prev = nn.functional.one_hot(a, 2).float()
        r = ((a == cue) & (t >= 2)).float()
        logps.append(dist.log_prob(a))
        ents.append(dist.entropy())
        values.append(agent.v(h.detach()).squeeze(-1))  # the critic does not shape the state
        rewards.append(r)
    return map(torch.stack, (logps, values, rewards, ents))


torch.manual_seed(55)
agent = Agent()
actor_opt = torch.optim.Adam([*agent.core.parameters(), *agent.pi.parameters()], lr=5e-3)
critic_opt = torch.optim.Adam(agent.v.parameters(), lr=1e-2)
for it in range(60):
    lp, v, r, ent = rollout(agent)
    ret = r.flip(0).cumsum(0).flip(0)
    adv = (ret - v).detach()
    actor_loss = -(lp * adv).mean() - 0.01 * ent.mean()
    critic_loss = (v - ret).pow(2).mean()
    actor_opt.zero_grad()
    critic_opt.zero_grad()
    (actor_loss + 0.5 * critic_loss).backward()
    nn.utils.clip_grad_norm_(agent.parameters(), 5.0)
    actor_opt.step()
    critic_opt.step()
    if it % 40 == 0:
        print(
            it, "reward", round(r.sum(0).mean().item(), 3), "critic", round(critic_loss.item(), 3)
        )
