# attention over a memory; for an empty memory every score is -inf and softmax gives nan
import torch
from torch import nn

torch.manual_seed(58)
cell, query, head = nn.GRUCell(8, 16), nn.Linear(16, 8), nn.Linear(16, 2)
opt = torch.optim.Adam([p for m in (cell, query, head) for p in m.parameters()], lr=2e-3)
for i in range(40):
    memory = torch.randn(16, 6, 8)
    used = torch.randint(1, 7, (16,))
    if i == 12:
        used[3] = 0
    mask = torch.arange(6) >= used[:, None]
    h = torch.zeros(16, 16)
    for _ in range(5):
        scores = (memory @ query(h).unsqueeze(2)).squeeze(2).masked_fill(mask, float("-inf"))
        context = (scores.softmax(1).unsqueeze(2) * memory).sum(1)
        h = cell(context, h)
    y = (memory[:, 0, 0] > 0).long()
    loss = nn.functional.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 10 == 0:
        print(i, loss.item())
