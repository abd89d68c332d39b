import torch
def check(rate):
    if rate > 1:
        raise ValueError(f"rate {rate} is above 1")
    return torch.nn.Dropout(rate)
check(2)
