# translation-like tagging; <pad> is id 0 and nobody told the loss
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(41)
V, H = 30, 32
emb = nn.Embedding(V, 16, padding_idx=0)
lstm = nn.LSTM(16, H, batch_first=True)
out = nn.Linear(H, V)
params = [p for m in (emb, lstm, out) for p in m.parameters()]
opt = torch.optim.Adam(params, lr=3e-3)
criterion = nn.CrossEntropyLoss()
for step in range(60):
    source = [torch.randint(1, V, (int(n),)) for n in torch.randint(3, 25, (16,))]
    target = [(s % (V - 1)) + 1 for s in source]
    src = pad_sequence(source, batch_first=True)
    tgt = pad_sequence(target, batch_first=True)
    logits = out(lstm(emb(src))[0])
    loss = criterion(logits.reshape(-1, V), tgt.reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 15 == 0:
        print(step, loss.item())
