# code: einops-divide
# line: tokens = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=12, q=12)
# fix: p=12, q=12 => p=8, q=8
import torch
from einops import rearrange
x = torch.rand(2, 3, 32, 32)
tokens = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=12, q=12)
