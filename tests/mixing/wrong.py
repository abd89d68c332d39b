"""Wrong models that run, as people write them: the mistake is in a line marked WRONG."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


class FF(nn.Module):
    def __init__(self, dim, mult=2):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim * mult), nn.GELU(), nn.Linear(dim * mult, dim))

    def forward(self, x):
        return self.net(x)


class Attn(nn.Module):
    def __init__(self, dim, heads=4, ctx=None):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(ctx or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, context=None, mask=None):
        x = self.norm(x)
        context = x if context is None else context
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)
        k, v = rearrange(self.kv(context), "b n (two h d) -> two b h n d", two=2, h=self.heads)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(rearrange(o, "b h n d -> b n (h d)"))


class Blk(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.a, self.f = Attn(dim, heads), FF(dim)

    def forward(self, x, mask=None):
        x = x + self.a(x, mask=mask)
        return x + self.f(x)


class EinopsMerge(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        o = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(rearrange(o, "b h n d -> b h (n d)").reshape(x.shape))  # WRONG heads merged with tokens
        return self.head(x.mean(1))


class WindowReshape(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        B, H, W, C = x.shape
        w = self.g // 2
        x = x.reshape(B * (H // w) * (W // w), w * w, C)  # WRONG windows cut without permute
        x = self.blocks[0](x)
        x = x.reshape(B, H, W, C)
        return self.head(x.mean((1, 2)))


class WindowMerge(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        B, H, W, C = x.shape
        w = self.g // 2
        y = x.view(B, H // w, w, W // w, w, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, w * w, C)
        y = self.blocks[0](y)
        x = x + y.view(B, H, W, C)  # WRONG windows not put back
        return self.head(self.norm(x).mean((1, 2)))


class BatchHeads(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        _B, _N, C = x.shape
        h = self.heads
        q, k, v = (rearrange(t, "b n (h d) -> (b h) n d", h=h) for t in self.qkv(x).chunk(3, -1))
        o = (q @ k.transpose(1, 2) * (C // h) ** -0.5).softmax(-1) @ v
        o = rearrange(o, "(h b) n d -> b n (h d)", h=h)  # WRONG (h b) for (b h)
        return self.head((x + self.proj(o)).mean(1))


class MhaBatch(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.mha = nn.MultiheadAttention(dim, heads)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        y = self.norm(x)
        x = x + self.mha(y, y, y)[0]  # WRONG no batch_first
        return self.head(x[:, 0])


class EncoderBatch(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.head = nn.Linear(dim, num_classes)
        self.enc = nn.TransformerEncoder(nn.TransformerEncoderLayer(dim, heads, 2 * dim, 0.0), 2)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        x = self.enc(x)  # WRONG no batch_first
        return self.head(x[:, 0])


class SoftmaxHeads(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        a = F.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=1)  # WRONG over heads
        return self.head((x + self.proj(rearrange(a @ v, "b h n d -> b n (h d)"))).mean(1))


class SoftmaxModule(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj, self.sm = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Softmax(2)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        a = self.sm(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5)  # WRONG nn.Softmax over queries
        return self.head((x + self.proj(rearrange(a @ v, "b h n d -> b n (h d)"))).mean(1))


class ClsLast(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([x, self.cls_token.expand(len(x), -1, -1)], 1) + self.pos_embed
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x)[:, 0])  # WRONG class token is last


class PosBeforeCls(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, :-1]
        x = torch.cat(
            [self.cls_token.expand(len(x), -1, -1) + self.pos_embed[:, :1], x], 1
        )  # WRONG position 0 twice, off by one
        for b in self.blocks:
            x = b(x)
        x = self.norm(x)
        return self.head(x[:, 0])


class MaskRows(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, valid):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        a = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        a = a.masked_fill(~valid[:, None, :, None], float("-1e9"))  # WRONG mask over queries
        return self.head((x + self.proj(rearrange(a.softmax(-1) @ v, "b h n d -> b n (h d)"))).mean(1))


class CrossSelf(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.queries = nn.Parameter(torch.randn(1, 5, dim))
        self.cross = nn.ModuleList(Attn(dim, heads) for _ in range(depth))

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        q = self.queries.expand(len(x), -1, -1)
        for b, c in zip(self.blocks, self.cross, strict=False):
            q = q + c(q, q)  # WRONG keys from the queries
            q = b(q)
        return self.head(q)


class CrossSwapped(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.queries = nn.Parameter(torch.randn(1, 5, dim))
        self.cross = Attn(dim, heads)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        q = self.queries.expand(len(x), -1, -1)
        y = self.cross(x, q)  # WRONG the image asks the queries
        return self.head(self.norm(y[:, :5]))


class NormTokens(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.norm_n = nn.LayerNorm(self.g**2)

    def forward(self, x):
        x = self.embed(x).flatten(2)
        x = self.norm_n(x).transpose(1, 2)  # WRONG LayerNorm over tokens
        x = self.blocks[0](x)
        return self.head(x.mean(1))


class ResidualNorm(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.head = nn.Linear(dim, num_classes)
        self.attn, self.ff = (
            nn.ModuleList(Attn(dim) for _ in range(depth)),
            nn.ModuleList(FF(dim) for _ in range(depth)),
        )

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for a, f in zip(self.attn, self.ff, strict=False):
            y = x + a(x)
            x = x + f(y)  # WRONG the attention's residual is lost
        return self.head(x[:, 0])


class MeanBatch(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for b in self.blocks:
            x = b(x)
        x = self.norm(x).mean(0)  # WRONG over images
        return self.head(x)


class HeadTokens(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.cls = nn.Linear(self.g**2, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2)
        x = self.blocks[0](x.transpose(1, 2)).transpose(1, 2)
        return self.cls(x).mean(1)  # WRONG head over tokens


class MergeNeighbours(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.reduce, self.b2, self.head = nn.Linear(4 * dim, 2 * dim), Blk(2 * dim), nn.Linear(2 * dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        B, N, C = x.shape
        x = self.blocks[0](x + self.pos_embed[:, 1:])
        x = self.reduce(x.reshape(B, N // 4, 4 * C))  # WRONG four in a row, not 2x2
        return self.head(self.b2(x).mean(1))


class UnpatchifyTransposed(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.out = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = self.blocks[0](x + self.pos_embed[:, 1:])
        x = self.out(x)
        sizes = {"h": self.g, "p": self.p, "q": self.p}
        return rearrange(x, "b (h w) (p q c) -> b c (w p) (h q)", **sizes)  # WRONG rows and columns of the grid


class MaePatchOrder(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.lin, self.out = nn.Linear(3 * patch_size**2, dim), nn.Linear(dim, 3 * patch_size**2)

    def forward(self, x):
        t = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=self.p, q=self.p)
        y = self.out(self.blocks[0](self.lin(t) + self.pos_embed[:, 1:]))
        loss = ((y - t) ** 2).mean()
        img = rearrange(y, "b (h w) (c p q) -> b c (h p) (w q)", h=self.g, p=self.p, q=self.p)  # WRONG c p q for p q c
        return loss, img


class MaeUnshuffle(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.mask, self.out = nn.Parameter(torch.randn(1, 1, dim)), nn.Linear(dim, 3 * patch_size**2)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        B, N, C = x.shape
        ids = torch.rand(B, N).argsort(1)
        ids.argsort(1)
        keep = N // 2
        x = x.gather(1, ids[:, :keep, None].expand(-1, -1, C))
        x = self.blocks[0](x)
        x = torch.cat([x, self.mask.expand(B, N - keep, -1)], 1)
        x = x.gather(1, ids[..., None].expand(-1, -1, C))  # WRONG ids for restore
        return self.out(self.blocks[1](x + self.pos_embed[:, 1:]))


class RotaryAxis(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b n h d", t=3, h=self.heads)
        q, k = self.rot(q), self.rot(k)  # WRONG rotates over heads
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        o = F.scaled_dot_product_attention(q, k, v)
        return self.head((x + self.proj(rearrange(o, "b h n d -> b n (h d)"))).mean(1))

    def rot(self, x):
        n, d = x.shape[-2:]  # WRONG the axis of heads
        a = torch.arange(n)[:, None] / 100 ** (torch.arange(0, d, 2) / d)
        a = a.repeat(1, 2)
        x1, x2 = x.chunk(2, -1)
        return x * a.cos() + torch.cat([-x2, x1], -1) * a.sin()  # WRONG


class RelTableView(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        g = self.g
        self.table = nn.Parameter(torch.randn((2 * g - 1) ** 2, heads))
        c = torch.stack(torch.meshgrid(torch.arange(g), torch.arange(g), indexing="ij")).flatten(1)
        r = c[:, :, None] - c[:, None] + g - 1
        self.register_buffer("index", r[0] * (2 * g - 1) + r[1])
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        _B, N, _C = x.shape
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        bias = self.table[self.index.view(-1)].view(self.heads, N, N)  # WRONG view for permute
        a = (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(-1)
        return self.head((x + self.proj(rearrange(a @ v, "b h n d -> b n (h d)"))).mean(1))


class RelTableStride(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        g = self.g
        self.table = nn.Parameter(torch.randn((2 * g - 1) ** 2, heads))
        c = torch.stack(torch.meshgrid(torch.arange(g), torch.arange(g), indexing="ij")).flatten(1)
        r = c[:, :, None] - c[:, None] + g - 1
        self.register_buffer("index", r[0] * g + r[1])  # WRONG stride g, not 2g - 1
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        _B, _N, _C = x.shape
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        bias = self.table[self.index].permute(2, 0, 1)  # WRONG
        a = (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(-1)
        return self.head((x + self.proj(rearrange(a @ v, "b h n d -> b n (h d)"))).mean(1))


class PixelShuffleOrder(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.up = nn.Conv2d(dim, 3 * patch_size**2, 1)

    def forward(self, x):
        f = self.embed(x)
        y = self.blocks[0](f.flatten(2).mT).mT.reshape(f.shape)
        y = self.up(y)
        b, _c, h, w = y.shape
        return (
            y.view(b, 3, self.p, self.p, h, w).permute(0, 1, 4, 5, 2, 3).reshape(b, 3, h * self.p, w * self.p)
        )  # WRONG order of axes


class SpatialTwice(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = rearrange(self.embed(x.flatten(0, 1)), "(b t) d h w -> b t (h w) d", b=x.shape[0])
        b, _t, _n, _d = x.shape
        x = rearrange(self.blocks[0](rearrange(x, "b t n d -> (b n) t d")), "(b n) t d -> b t n d", b=b)
        x = rearrange(
            self.blocks[1](rearrange(x, "b t n d -> (b n) t d")), "(b n) t d -> b t n d", b=b
        )  # WRONG time twice
        return self.head(x.mean((1, 2)))


class XcaForgotten(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 4, 1)
        a = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT).softmax(-1)
        x = x + self.proj((a @ v).reshape(B, N, C))  # WRONG no permute before reshape
        return self.head(x.mean(1))


class PatchesReshape(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.lin = nn.Linear(3 * patch_size**2, dim)

    def forward(self, x):
        b = len(x)
        x = self.lin(x.reshape(b, self.g**2, -1))  # WRONG patches by a plain reshape
        x = x + self.pos_embed[:, 1:]
        for b in self.blocks:
            x = b(x)
        return self.head(x.mean(1))


class UnfoldOrder(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.lin = nn.Linear(3 * patch_size**2, dim)

    def forward(self, x):
        p = self.p
        x = x.unfold(2, p, p).unfold(3, p, p)
        x = x.reshape(len(x), self.g**2, -1)  # WRONG channels before the grid
        x = self.lin(x) + self.pos_embed[:, 1:]
        for b in self.blocks:
            x = b(x)
        return self.head(x.mean(1))


class DropResult(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for b in self.blocks:
            b(x)  # WRONG
        x = self.norm(x)
        return self.head(x[:, 0])


class NormDropped(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for b in self.blocks:
            x = b(x)
        self.norm(x)  # WRONG
        return self.head(x[:, 0])


class MaskDropped(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        a = q @ k.mT * q.shape[-1] ** -0.5
        a.masked_fill(torch.ones(a.shape[-2:]).triu(1).bool(), -1e9)  # WRONG not in place
        return self.head((x + self.proj(rearrange(a.softmax(-1) @ v, "b h n d -> b n (h d)"))).mean(1))


class Detached(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for b in self.blocks:
            x = b(x).detach()  # WRONG
        x = self.norm(x)
        return self.head(x[:, 0])


class PosOne(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 0]  # WRONG one position for all
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x).mean(1))


class PosByImage(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        self.table = nn.Embedding(64, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.table(torch.arange(len(x)))[:, None]  # WRONG by image
        for b in self.blocks:
            x = b(x)
        return self.head(self.norm(x).mean(1))


class LossShape(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm = nn.LayerNorm(dim)
        self.reg = nn.Linear(dim, 1)

    def forward(self, x, target):
        y = self.reg(self.norm(self.embed(x).flatten(2).mean(-1)))
        return F.mse_loss(y, target)  # WRONG [b,1] against [b]


class LossOwn(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm = nn.LayerNorm(dim)
        self.reg = nn.Linear(dim, 1)

    def forward(self, x, target):
        y = self.reg(self.norm(self.embed(x).flatten(2).mean(-1)))
        return (y - target).abs().mean()  # WRONG [b,1] against [b]


class DropPathTokens(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        keep = torch.rand(1, x.shape[1], 1) < 0.9  # WRONG over tokens, the same for all images, in eval too
        x = x + self.blocks[0](x) * keep
        return self.head(x.mean(1))


class ColumnTokens(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        x = self.embed(x)
        b, c, h, w = x.shape
        y = x.permute(0, 3, 2, 1).reshape(b, h * w, c)  # WRONG columns first
        y = self.blocks[0](y + self.pos_embed[:, 1:])
        y = y.transpose(1, 2).reshape(b, c, h, w)
        x = x + self.conv(y)
        return self.head(x.mean((2, 3)))


class GridSwapped(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        x = self.embed(x)
        _b, _c, _w, h = x.shape
        y = self.blocks[0](x.flatten(2).mT + self.pos_embed[:, 1:])
        y = rearrange(y, "b (w h) c -> b c h w", h=h)  # WRONG
        return self.conv(y)


class NormIndex(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for b in self.blocks:
            x = b(x)
        x = self.norm(x)[0]  # WRONG [0] for [:, 0]
        return self.head(x)


class ViewImages(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.blocks = nn.ModuleList(Blk(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        B, N, C = x.shape
        x = self.blocks[0](x.view(1, -1, C)).view(B, N, C)  # WRONG all images in one sequence
        return self.head(x[:, 0])


class KeysTwice(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        qkv = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        q, k, v = qkv[0], qkv[1], qkv[1]  # WRONG v = k
        o = F.scaled_dot_product_attention(q, k, v)
        return self.head((x + self.proj(rearrange(o, "b h n d -> b n (h d)"))).mean(1))


class AttnNoSum(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b n h d", t=3, h=self.heads)
        a = torch.einsum("bnhd,bnhd->bnh", q, k).softmax(1)  # WRONG each token with itself
        o = a[..., None] * v
        return self.head((x + self.proj(o.flatten(2))).mean(1))


class HeadsAttend(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads, self.p, self.g, self.dim = heads, patch_size, image_size // patch_size, dim
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.g**2 + 1, dim))
        self.head = nn.Linear(dim, num_classes)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b n h d", t=3, h=self.heads)
        o = F.scaled_dot_product_attention(q, k, v)  # WRONG over heads
        return self.head((x + self.proj(o.flatten(2))).mean(1))


INPUTS = {
    "MaskRows": ["x=3x3x32x32", "valid=3x16:bool"],
    "LossShape": ["x=4x3x32x32", "target=4"],
    "LossOwn": ["x=4x3x32x32", "target=4"],
    "SpatialTwice": ["x=2x4x3x32x32"],
}
PARTS = {"FF", "Attn", "Blk"}
