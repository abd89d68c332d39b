# until: 3.11
# code: view
# line: return [right[:k].view(-1).float().sum() for k in (1, 5)]
# fix: .view(-1) => .reshape(-1)
import torch
def accuracy(scores, labels):
    guesses = scores.topk(5, 1).indices.t()
    right = guesses.eq(labels.view(1, -1).expand_as(guesses))
    return [right[:k].view(-1).float().sum() for k in (1, 5)]
accuracy(torch.rand(8, 10), torch.randint(10, (8,)))
