"""REINFORCE with a recurrent policy on a small memory game: the cue comes first, the right lever last."""

import torch
from torch import nn
from torch.distributions import Categorical


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 24)
        self.actor = nn.Linear(24, 2)

    def forward(self, observation, h):
        h = self.cell(observation, h)
        return Categorical(logits=self.actor(h)), h


torch.manual_seed(74)
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
baseline = 0.5
for episode in range(80):
    cue = torch.randint(2, (32,))
    h = torch.zeros(32, 24)
    log_prob = reward = torch.zeros(32)
    for t in range(4):
        observation = torch.zeros(32, 3)
        observation[:, 2] = 1.0
        if t == 0:
            observation[:, :2] = nn.functional.one_hot(cue, 2).float()
        dist, h = policy(observation, h)
        action = dist.sample()
        log_prob = dist.log_prob(action)
        reward = (action == cue).float()
    loss = -(log_prob * (reward - baseline)).mean()
    baseline = 0.9 * baseline + 0.1 * reward.mean().item()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if episode % 20 == 0:
        print(episode, reward.mean().item())
