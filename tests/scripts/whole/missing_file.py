import torch
def load(path):
    return torch.load(path)
load("no/such/file.pt")
