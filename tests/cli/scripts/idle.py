"""Imports torch and does what its argument says, without any training of a recurrent module."""

import sys

import torch
from torch import nn

match sys.argv[1]:
    case "nothing":
        pass
    case "linear":
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    case "forward":
        nn.LSTM(2, 2)(torch.ones(3, 1, 2))
    case "unused":
        model = nn.ModuleList([nn.LSTM(2, 2), nn.Linear(2, 2)])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model[0](torch.ones(3, 1, 2))
        model[1](torch.ones(1, 2)).sum().backward()
        optimizer.step()
