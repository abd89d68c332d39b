"""The kinds of the reports once more, in other code."""
import torch
from torch import nn
from einops import rearrange
import torch.nn.functional as F

class Enc(nn.Module):
    def __init__(self, img=224, patch=16, dim=64, depth=2, heads=4, reg=0, cls=True):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if cls else None
        self.reg_tokens = nn.Parameter(torch.zeros(1, reg, dim)) if reg else None
        self.pos_embed = nn.Parameter(torch.zeros(1, (img // patch) ** 2, dim))
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(dim, heads, 128, batch_first=True) for _ in range(depth)])
    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed
        B = x.shape[0]
        parts = [t.expand(B, -1, -1) for t in (self.cls_token, self.reg_tokens) if t is not None]
        x = torch.cat(parts + [x], 1)
        for b in self.blocks:
            x = b(x)
        return x

class SegTransposed(nn.Module):  # forgot the class token: transpose view
    def __init__(self):
        super().__init__(); self.enc = Enc(); self.head = nn.Conv2d(64, 2, 1)
    def forward(self, x):
        B = x.shape[0]
        f = self.enc(x)
        f = f.transpose(1, 2).reshape(B, -1, 14, 14)
        return self.head(f)

class SegEinops(nn.Module):
    def __init__(self, patch=16):
        super().__init__(); self.patch = patch; self.enc = Enc(); self.head = nn.Conv2d(64, 2, 1)
    def forward(self, img):
        f = self.enc(img)
        h, w = img.shape[2] // self.patch, img.shape[3] // self.patch
        f = rearrange(f, 'b (h w) c -> b c h w', h=h, w=w)
        return self.head(f)

class SegReg(nn.Module):  # drops cls, registers stay; channels-last reshape
    def __init__(self):
        super().__init__(); self.enc = Enc(reg=4); self.head = nn.Linear(64, 2)
    def forward(self, img):
        f = self.enc(img)[:, 1:, :]
        B, N, C = f.shape
        s = int(N ** 0.5)
        f = f.reshape(B, s, s, C)
        return self.head(f)

class Pixels(nn.Module):
    def __init__(self):
        super().__init__(); self.enc = Enc(cls=False); self.out = nn.Linear(64, 3 * 256)
    def forward(self, img):
        B, C, H, W = img.shape
        f = self.out(self.enc(img))
        return f.permute(0, 2, 1).view(B, -1, H, W)

class Unpatch(nn.Module):  # literal channels
    def __init__(self, in_chans=3, patch=16):
        super().__init__(); self.p = patch; self.embed = nn.Conv2d(in_chans, 64, patch, patch); self.pred = nn.Linear(64, patch * patch * in_chans)
    def unpatchify(self, x):
        p = self.p
        h = w = int(x.shape[1] ** .5)
        x = x.reshape(shape=(x.shape[0], h, w, p, p, 3))
        x = torch.einsum('nhwpqc->nchpwq', x)
        return x.reshape(shape=(x.shape[0], 3, h * p, h * p))
    def forward(self, img):
        return self.unpatchify(self.pred(self.embed(img).flatten(2).transpose(1, 2)))

class Skip(nn.Module):
    def __init__(self, base=32, ratio=2):
        super().__init__()
        self.a = nn.Conv2d(3, base, 3, 2, 1); self.b = nn.Conv2d(base, base * 2, 3, 2, 1)
        self.up = nn.ConvTranspose2d(base * 2, base, 2, 2)
        self.fuse = nn.Conv2d(base * ratio, base, 3, padding=1)
    def forward(self, x):
        a = self.a(x); b = self.b(a)
        return self.fuse(torch.cat([self.up(b), a], 1))

class SkipChannels(nn.Module):
    def __init__(self, base=32):
        super().__init__()
        self.a = nn.Conv2d(3, base, 3, 2, 1); self.b = nn.Conv2d(base, base * 2, 3, 2, 1)
        self.up = nn.ConvTranspose2d(base * 2, base * 2, 2, 2)
        self.fuse = nn.Conv2d(base * 2, base, 3, padding=1)
    def forward(self, x):
        a = self.a(x); b = self.b(a)
        return self.fuse(torch.cat([self.up(b), a], 1))

class OddMerge(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, 4, 4); self.red = nn.Linear(4 * dim, 2 * dim)
    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        x0, x1, x2, x3 = x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]
        return self.red(torch.cat([x0, x1, x2, x3], -1))

class Mask(nn.Module):
    def __init__(self, dim=64, heads=8):
        super().__init__(); self.h = heads; self.qkv = nn.Linear(dim, 3 * dim)
    def forward(self, x, mask):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-2, -1)) + mask
        return (a.softmax(-1) @ v).transpose(1, 2).reshape(B, N, C)

class MaskSdpa(Mask):
    def forward(self, x, mask):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(B, N, C)

class EinPatch(nn.Module):  # pattern puts tokens and features the wrong way round
    def __init__(self, p=16, dim=128):
        super().__init__(); self.p = p; self.proj = nn.Linear(3 * p * p, dim)
    def forward(self, x):
        x = rearrange(x, 'b c (h p1) (w p2) -> b (p1 p2 c) (h w)', p1=self.p, p2=self.p)
        return self.proj(x)

class Unfold(nn.Module):
    def __init__(self, p=16, dim=128):
        super().__init__(); self.p = p; self.proj = nn.Linear(3 * p * p, dim)
    def forward(self, x):
        x = x.unfold(2, self.p, self.p).unfold(3, self.p, self.p)
        x = x.reshape(x.shape[0], x.shape[1], -1, self.p * self.p).flatten(2)
        return self.proj(x)
class Twist(nn.Module):
    def __init__(self, p=8, dim=96):
        super().__init__(); self.p = p; self.proj = nn.Linear(3 * p * p, dim)
    def forward(self, img):
        B, C, H, W = img.shape
        x = img.view(B, C, H // self.p, self.p, W // self.p, self.p)
        x = x.permute(0, 1, 2, 4, 3, 5).reshape(B, C, (H // self.p) * (W // self.p), self.p * self.p)
        x = x.reshape(B, C * (H // self.p) * (W // self.p), -1)
        return self.proj(x)
