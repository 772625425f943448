# hidden state kept as .data, by hand
import torch
import torch.nn as nn


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)

    def forward(self, x, hidden):
        hidden = torch.tanh(self.i2h(torch.cat((x, hidden), 1)))
        return self.h2o(hidden), hidden


torch.manual_seed(32)
rnn = RNN(4, 24, 4)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
for step in range(60):
    first = torch.randint(0, 4, (16,))
    line = torch.randn(8, 16, 4) * 0.1
    line[0] += nn.functional.one_hot(first, 4)
    hidden = torch.zeros(16, 24)
    output = torch.zeros(16, 4)
    for x in line:
        output, hidden = rnn(x, hidden.data)
    loss = criterion(output, first)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
