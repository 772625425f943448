# no optimizer object at all: plain updates, gradients zeroed by hand
import torch
import torch.nn as nn

torch.manual_seed(56)
rnn = nn.RNN(5, 32)
readout = nn.Linear(32, 5)
learning_rate = 0.3
weights = list(rnn.parameters()) + list(readout.parameters())
for step in range(120):
    tok = torch.randint(5, (9, 16))
    x = nn.functional.one_hot(tok, 5).float()
    out, _ = rnn(x)
    loss = nn.functional.cross_entropy(readout(out[1:]).flatten(0, 1), tok[:-1].flatten())
    loss.backward()
    with torch.no_grad():
        for w in weights:
            if w.grad is not None:
                w -= learning_rate * w.grad
                w.grad.zero_()
    if step % 30 == 0:
        print(step, loss.item())
