"""Reviews of different lengths; the opinion stands in the first words, the rest is chatter."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

VOCAB, GOOD, BAD = 200, 1, 2


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 24, padding_idx=0)
        self.encoder = nn.LSTM(24, 40, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(40, 1)

    def forward(self, tokens, lengths):
        emb = self.embedding(tokens)
        packed = pack_padded_sequence(emb, lengths, batch_first=True, enforce_sorted=False)
        _, (h_n, _) = self.encoder(packed)
        return self.out(self.dropout(h_n[-1])).squeeze(-1)


def reviews(n):
    texts, labels = [], []
    for _ in range(n):
        words = torch.randint(3, VOCAB, (int(torch.randint(90, 160, (1,))),))
        label = int(torch.randint(2, (1,)))
        words[int(torch.randint(0, 5, (1,)))] = GOOD if label else BAD
        texts.append(words)
        labels.append(float(label))
    lengths = torch.tensor([len(t) for t in texts])
    return pad_sequence(texts, batch_first=True), lengths, torch.tensor(labels)


def main():
    torch.manual_seed(3)
    model = Sentiment()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    loss_fn = nn.BCEWithLogitsLoss()
    for epoch in range(4):
        total = 0.0
        for _ in range(10):
            tokens, lengths, labels = reviews(16)
            loss = loss_fn(model(tokens, lengths), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: {total / 10:.4f}")


main()
