"""One sample at a time: the gradient is noisy, but its tail is short."""

import torch
from torch import nn

torch.manual_seed(23)
model = nn.ModuleDict({"gru": nn.GRU(3, 16), "fc": nn.Linear(16, 3)})
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
right = 0
for i in range(300):
    label = torch.randint(3, (1,))
    x = torch.randn(8, 1, 3)
    x[4:, 0, label] += 2.0
    _, h = model["gru"](x)
    logits = model["fc"](h[-1])
    loss = nn.functional.cross_entropy(logits, label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    right += int(logits.argmax() == label)
    if i % 100 == 99:
        print(f"{i + 1} samples, {right} % right so far in this hundred")
        right = 0
