import torch
import torch.nn as nn

torch.manual_seed(0)


class M(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.r = nn.LSTM(4, h, batch_first=True)
        self.o = nn.Linear(h, 3)

    def forward(self, x):
        return self.o(self.r(x)[0][:, -1])


teacher, student = M(64).eval(), M(16)
opt = torch.optim.Adam(student.parameters(), 2e-3)
for p in teacher.parameters():
    p.requires_grad_(False)
for i in range(150):
    x = torch.randn(16, 14, 4)
    t = teacher(x)
    loss = nn.functional.kl_div(student(x).log_softmax(1), t.softmax(1), reduction="batchmean")
    opt.zero_grad()
    loss.backward()
    opt.step()
