"""Unusual models that are right. INPUTS are theirs where they are not two images of image_size."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from einops.layers.torch import Rearrange
from torch import einsum, nn


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


class XCA(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 4, 1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attn = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return self.proj((attn @ v).permute(0, 3, 1, 2).reshape(B, N, C))


class LPI(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim),
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim),
        )
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x, H, W):
        B, N, C = x.shape
        x = x.permute(0, 2, 1).reshape(B, C, H, W)
        x = self.conv2(self.bn(F.gelu(self.conv1(x))))
        return x.reshape(B, C, N).permute(0, 2, 1)


class XCiT(nn.Module):
    def __init__(self, image_size=32, patch_size=4, dim=32, depth=2, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.n1, self.n2, self.n3 = (nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth)) for _ in range(3))
        self.xca = nn.ModuleList(XCA(dim, heads) for _ in range(depth))
        self.lpi = nn.ModuleList(LPI(dim) for _ in range(depth))
        self.ff = nn.ModuleList(FF(dim) for _ in range(depth))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.ca = Attn(dim, heads)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        H, W = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        for i in range(len(self.xca)):
            x = x + self.xca[i](self.n1[i](x))
            x = x + self.lpi[i](self.n3[i](x), H, W)
            x = x + self.ff[i](self.n2[i](x))
        c = self.cls.expand(len(x), -1, -1)
        c = c + self.ca(c, torch.cat([c, x], 1))
        return self.head(c[:, 0])


class XCiTNoLPI(nn.Module):
    """channel attention only, conv-free, mean pooling: tokens meet only through the channel attention's sums."""

    def __init__(self, image_size=32, patch_size=8, dim=32, depth=2, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.n = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        self.xca = nn.ModuleList(XCA(dim) for _ in range(depth))
        self.ff = nn.ModuleList(FF(dim) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for n, a, f in zip(self.n, self.xca, self.ff, strict=True):
            x = x + a(n(x))
            x = x + f(x)
        return self.head(x.mean(1))


class AxialAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.row, self.col = Attn(dim, heads), Attn(dim, heads)

    def forward(self, x):
        b, _c, _h, _w = x.shape
        r = self.row(rearrange(x, "b c h w -> (b h) w c"))
        r = rearrange(r, "(b h) w c -> b c h w", b=b)
        q = self.col(rearrange(x, "b c h w -> (b w) h c"))
        return x + r + rearrange(q, "(b w) h c -> b c h w", b=b)


class AxialViT(nn.Module):
    def __init__(self, image_size=32, patch_size=4, dim=32, depth=2, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        n = image_size // patch_size
        self.row_pos = nn.Parameter(torch.randn(1, dim, n, 1))
        self.col_pos = nn.Parameter(torch.randn(1, dim, 1, n))
        self.blocks = nn.ModuleList(AxialAttention(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x) + self.row_pos + self.col_pos
        for b in self.blocks:
            x = b(x)
        return self.head(x.mean((2, 3)))


class AxialOnePos(nn.Module):
    """row attention adds the row positions only in the row attention"""

    def __init__(self, image_size=32, patch_size=4, dim=32, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        n = image_size // patch_size
        self.pos_w = nn.Parameter(torch.randn(n, dim))
        self.pos_h = nn.Parameter(torch.randn(n, dim))
        self.row, self.col = Blk(dim, heads), Blk(dim, heads)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        b, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(b * h, w, c) + self.pos_w
        x = self.row(x)
        x = x.reshape(b, h, w, c).permute(0, 2, 1, 3).reshape(b * w, h, c) + self.pos_h
        x = self.col(x)
        x = x.reshape(b, w, h, c).permute(0, 2, 1, 3)
        return self.head(x.mean((1, 2)))


class LinearAttn(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (rearrange(t, "b n (h d) -> b h n d", h=self.heads) for t in (q, k, v))
        q, k = q.softmax(dim=-1), k.softmax(dim=-2)
        ctx = einsum("b h n d, b h n e -> b h d e", k, v)
        out = einsum("b h d e, b h n d -> b h n e", ctx, q)
        return self.out(rearrange(out, "b h n d -> b n (h d)"))


class EfficientViT(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, depth=2, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=patch_size, q=patch_size),
            nn.Linear(3 * patch_size**2, dim),
        )
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.layers = nn.ModuleList(nn.ModuleList([LinearAttn(dim, heads), FF(dim)]) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x) + self.pos
        for a, f in self.layers:
            x = a(x) + x
            x = f(x) + x
        return self.head(x.mean(1))


class ReluLinearViT(nn.Module):
    """kernel attention with a normaliser, no softmax"""

    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.qkv, self.out, self.heads = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), heads
        self.ff, self.head = FF(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT + self.pos
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = F.relu(q), F.relu(k)
        z = 1 / (q @ k.sum(2, keepdim=True).mT + 1e-6)
        y = (q @ (k.mT @ v)) * z
        x = x + self.out(y.transpose(1, 2).reshape(B, N, C))
        return self.head((x + self.ff(x)).mean(1))


class Registers(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, depth=2, registers=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.register_tokens = nn.Parameter(torch.randn(1, registers, dim))
        self.blocks = nn.ModuleList(Blk(dim) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(2 * dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        b = len(x)
        x = torch.cat([self.cls_token.expand(b, -1, -1), self.register_tokens.expand(b, -1, -1), x], 1)
        for blk in self.blocks:
            x = blk(x)
        x = self.norm(x)
        r = self.register_tokens.shape[1]
        return self.head(torch.cat([x[:, 0], x[:, 1 + r :].mean(1)], -1))


class MoEViT(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, experts=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.attn = Attn(dim)
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(FF(dim) for _ in range(experts))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        x = x + self.attn(x)
        w = self.gate(x).softmax(-1)
        y = torch.stack([e(x) for e in self.experts], -1)
        x = x + (y * w.unsqueeze(-2)).sum(-1)
        return self.head(x.mean(1))


class TopKMoE(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, experts=4, k=2, num_classes=10):
        super().__init__()
        self.k = k
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.attn = Attn(dim)
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(FF(dim) for _ in range(experts))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.attn(x)
        flat = x.reshape(-1, x.shape[-1])
        val, idx = self.gate(flat).topk(self.k, -1)
        val = val.softmax(-1)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            where, which = torch.where(idx == e)
            if len(where):
                out = out.index_add(0, where, expert(flat[where]) * val[where, which, None])
        x = x + out.view_as(x)
        return self.head(x.mean(1))


class ToMe(nn.Module):
    """merges the most similar tokens of two halves between blocks"""

    def __init__(self, image_size=32, patch_size=8, dim=32, r=4, num_classes=10):
        super().__init__()
        self.r = r
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.b1, self.b2 = Blk(dim), Blk(dim)
        self.head = nn.Linear(dim, num_classes)

    def merge(self, x):
        m = F.normalize(x, dim=-1)
        a, b = m[:, ::2], m[:, 1::2]
        scores = a @ b.transpose(-1, -2)
        node_max, node_idx = scores.max(-1)
        edge = node_max.argsort(-1, descending=True)[..., None]
        unm, src = edge[:, self.r :], edge[:, : self.r]
        dst = node_idx[..., None].gather(-2, src)
        c = x.shape[-1]
        xa, xb = x[:, ::2], x[:, 1::2]
        keep = xa.gather(1, unm.expand(-1, -1, c))
        gone = xa.gather(1, src.expand(-1, -1, c))
        xb = xb.scatter_reduce(1, dst.expand(-1, -1, c), gone, "mean")
        return torch.cat([keep, xb], 1)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        x = self.b2(self.merge(self.b1(x)))
        return self.head(x.mean(1))


class Talking(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.pre, self.post = nn.Parameter(torch.randn(heads, heads)), nn.Parameter(torch.randn(heads, heads))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        q, k, v = (rearrange(t, "b n (h d) -> b h n d", h=self.heads) for t in self.qkv(x).chunk(3, -1))
        dots = einsum("b h i d, b h j d -> b h i j", q, k) * q.shape[-1] ** -0.5
        dots = einsum("b h i j, h g -> b g i j", dots, self.pre)
        attn = dots.softmax(-1)
        attn = einsum("b h i j, h g -> b g i j", attn, self.post)
        o = einsum("b h i j, b h j d -> b h i d", attn, v)
        return self.head((x + self.out(rearrange(o, "b h n d -> b n (h d)"))).mean(1))


class Perceiver(nn.Module):
    def __init__(self, image_size=32, dim=32, latents=6, depth=2, num_classes=10):
        super().__init__()
        self.inp = nn.Linear(3 + 2, dim)
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.cross = nn.ModuleList(Attn(dim) for _ in range(depth))
        self.selfs = nn.ModuleList(Blk(dim) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_classes))

    def forward(self, x):
        b, _, h, w = x.shape
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        pos = torch.stack([ys, xs], -1).expand(b, -1, -1, -1)
        data = self.inp(torch.cat([x.permute(0, 2, 3, 1), pos], -1)).flatten(1, 2)
        z = repeat(self.latents, "n d -> b n d", b=b)
        for c, s in zip(self.cross, self.selfs, strict=True):
            z = z + c(z, data)
            z = s(z)
        return self.head(z.mean(1))


class SimMIM(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, ratio=0.5):
        super().__init__()
        self.p, self.ratio = patch_size, ratio
        self.patch = nn.Linear(3 * patch_size**2, dim)
        self.mask_token = nn.Parameter(torch.randn(dim))
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.blocks = nn.ModuleList(Blk(dim) for _ in range(2))
        self.to_pixels = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, img):
        patches = rearrange(img, "b c (h p) (w q) -> b (h w) (p q c)", p=self.p, q=self.p)
        b, n, _ = patches.shape
        tokens = self.patch(patches)
        k = int(self.ratio * n)
        masked = torch.rand(b, n).topk(k, -1).indices
        mask = torch.zeros(b, n).scatter(1, masked, 1).bool()
        tokens = torch.where(mask[..., None], self.mask_token.expand_as(tokens), tokens) + self.pos
        for blk in self.blocks:
            tokens = blk(tokens)
        rng = torch.arange(b)[:, None]
        pred = self.to_pixels(tokens[rng, masked])
        return F.l1_loss(pred, patches[rng, masked])


class Autoencoder(nn.Module):
    """patches in, patches out, image in the end"""

    def __init__(self, image_size=32, patch_size=8, dim=32):
        super().__init__()
        self.p, self.g = patch_size, image_size // patch_size
        self.enc, self.dec = nn.Linear(3 * patch_size**2, dim), nn.Linear(dim, 3 * patch_size**2)
        self.pos = nn.Parameter(torch.randn(1, self.g**2, dim))
        self.blk = Blk(dim)

    def forward(self, img):
        x = rearrange(img, "b c (h p) (w q) -> b (h w) (c p q)", p=self.p, q=self.p)
        x = self.dec(self.blk(self.enc(x) + self.pos))
        return rearrange(x, "b (h w) (p q c) -> b c (h p) (w q)", h=self.g, p=self.p, q=self.p)


class DiT(nn.Module):
    def __init__(self, image_size=16, patch_size=4, dim=32, depth=2):
        super().__init__()
        self.p, self.g = patch_size, image_size // patch_size
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, self.g**2, dim))
        self.time = nn.Sequential(nn.Linear(16, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.ada = nn.ModuleList(nn.Linear(dim, 6 * dim) for _ in range(depth))
        self.attn = nn.ModuleList(Attn(dim) for _ in range(depth))
        self.ff = nn.ModuleList(FF(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.final = nn.Linear(dim, patch_size**2 * 3)

    def forward(self, x, t):
        f = torch.exp(-math.log(10000) * torch.arange(8) / 8)
        a = t[:, None] * f[None]
        c = self.time(torch.cat([a.cos(), a.sin()], -1))
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        for ada, attn, ff in zip(self.ada, self.attn, self.ff, strict=True):
            s1, b1, g1, s2, b2, g2 = ada(c).chunk(6, dim=1)
            x = x + g1.unsqueeze(1) * attn(self.norm(x) * (1 + s1.unsqueeze(1)) + b1.unsqueeze(1))
            x = x + g2.unsqueeze(1) * ff(self.norm(x) * (1 + s2.unsqueeze(1)) + b2.unsqueeze(1))
        x = self.final(self.norm(x))
        x = x.reshape(-1, self.g, self.g, self.p, self.p, 3)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(-1, 3, self.g * self.p, self.g * self.p)


class TwoStreams(nn.Module):
    def __init__(self, image_size=32, dim=32, num_classes=10):
        super().__init__()
        self.small, self.large = nn.Conv2d(3, dim, 4, 4), nn.Conv2d(3, dim, 8, 8)
        self.cs, self.cl = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 1, dim))
        self.ps, self.pl = (
            nn.Parameter(torch.randn(1, (image_size // 4) ** 2 + 1, dim)),
            nn.Parameter(torch.randn(1, (image_size // 8) ** 2 + 1, dim)),
        )
        self.bs, self.bl = Blk(dim), Blk(dim)
        self.xs, self.xl = Attn(dim), Attn(dim)
        self.hs, self.hl = nn.Linear(dim, num_classes), nn.Linear(dim, num_classes)

    def forward(self, x):
        s, w = (m(x).flatten(2).mT for m in (self.small, self.large))
        s = self.bs(torch.cat([self.cs.expand(len(x), -1, -1), s], 1) + self.ps)
        w = self.bl(torch.cat([self.cl.expand(len(x), -1, -1), w], 1) + self.pl)
        cs, s_ = s[:, :1], s[:, 1:]
        cl, w_ = w[:, :1], w[:, 1:]
        cs = cs + self.xs(cs, torch.cat([cs, w_], 1))
        cl = cl + self.xl(cl, torch.cat([cl, s_], 1))
        return self.hs(cs[:, 0]) + self.hl(cl[:, 0])


class CausalPixels(nn.Module):
    def __init__(self, image_size=16, vocab=8, dim=32, depth=2):
        super().__init__()
        n = 64
        self.tok = nn.Embedding(vocab, dim)
        self.pos = nn.Embedding(n, dim)
        self.blocks = nn.ModuleList(Blk(dim) for _ in range(depth))
        self.head = nn.Linear(dim, vocab, bias=False)
        self.register_buffer("mask", torch.ones(n, n).tril().bool())

    def forward(self, ids):
        n = ids.shape[1]
        x = self.tok(ids) + self.pos(torch.arange(n))
        for b in self.blocks:
            x = b(x, mask=self.mask[:n, :n])
        return self.head(x)


class SetPrediction(nn.Module):
    def __init__(self, image_size=32, dim=32, queries=5, num_classes=4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, dim, 4, 4), nn.ReLU(), nn.Conv2d(dim, dim, 2, 2))
        self.row, self.col = nn.Parameter(torch.rand(16, dim // 2)), nn.Parameter(torch.rand(16, dim // 2))
        self.query_pos = nn.Parameter(torch.rand(queries, dim))
        self.transformer = nn.Transformer(dim, 4, 1, 1, dim * 2, 0.0)
        self.cls, self.box = nn.Linear(dim, num_classes + 1), nn.Linear(dim, 4)

    def forward(self, x):
        h = self.stem(x)
        H, W = h.shape[-2:]
        pos = (
            torch.cat([self.col[:W].unsqueeze(0).repeat(H, 1, 1), self.row[:H].unsqueeze(1).repeat(1, W, 1)], -1)
            .flatten(0, 1)
            .unsqueeze(1)
        )
        src = pos + 0.1 * h.flatten(2).permute(2, 0, 1)
        h = self.transformer(src, self.query_pos.unsqueeze(1).repeat(1, src.shape[1], 1)).transpose(0, 1)
        return self.cls(h), self.box(h).sigmoid()


def window_partition(x, w):
    B, H, W, C = x.shape
    return x.view(B, H // w, w, W // w, w, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, w * w, C)


def window_reverse(x, w, H, W):
    B = x.shape[0] // (H * W // w // w)
    return x.view(B, H // w, W // w, w, w, -1).permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, -1)


class MaxBlock(nn.Module):
    """block attention, then grid attention"""

    def __init__(self, dim, w):
        super().__init__()
        self.w, self.local, self.grid = w, Blk(dim), Blk(dim)

    def forward(self, x):
        w = self.w
        _b, h, ww, _c = x.shape
        y = rearrange(x, "b (x p) (y q) c -> (b x y) (p q) c", p=w, q=w)
        x = rearrange(self.local(y), "(b x y) (p q) c -> b (x p) (y q) c", x=h // w, y=ww // w, p=w)
        y = rearrange(x, "b (p x) (q y) c -> (b x y) (p q) c", p=w, q=w)
        return rearrange(self.grid(y), "(b x y) (p q) c -> b (p x) (q y) c", x=h // w, y=ww // w, p=w)


class MaxViT(nn.Module):
    def __init__(self, image_size=32, patch_size=4, dim=32, window=4, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.b = MaxBlock(dim, window)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        return self.head(self.b(self.embed(x).permute(0, 2, 3, 1)).mean((1, 2)))


class ShiftedWindows(nn.Module):
    def __init__(self, image_size=32, patch_size=4, dim=32, window=4, num_classes=10):
        super().__init__()
        self.embed, self.w = nn.Conv2d(3, dim, patch_size, patch_size), window
        self.b1, self.b2 = Blk(dim), Blk(dim)
        self.head = nn.Linear(4 * dim, num_classes)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        _B, H, W, _C = x.shape
        x = window_reverse(self.b1(window_partition(x, self.w)), self.w, H, W)
        s = self.w // 2
        y = torch.roll(x, (-s, -s), (1, 2))
        y = window_reverse(self.b2(window_partition(y, self.w)), self.w, H, W)
        x = torch.roll(y, (s, s), (1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.head(self.norm(x).mean((1, 2)))


class GlobalQuery(nn.Module):
    """GC-ViT: queries made of the whole map, keys of windows"""

    def __init__(self, image_size=32, patch_size=4, dim=32, window=4, heads=4, num_classes=10):
        super().__init__()
        self.embed, self.w, self.heads = nn.Conv2d(3, dim, patch_size, patch_size), window, heads
        self.to_global = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.GELU(), nn.AdaptiveMaxPool2d(window))
        self.kv, self.out = nn.Linear(dim, dim * 2), nn.Linear(dim, dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        q = self.to_global(x)
        b, _c, h, w = x.shape
        x = window_partition(x.permute(0, 2, 3, 1), self.w)
        n = x.shape[0] // b
        q = (
            q.flatten(2)
            .transpose(1, 2)
            .reshape(b, 1, self.w**2, self.heads, -1)
            .expand(-1, n, -1, -1, -1)
            .reshape(x.shape[0], self.w**2, self.heads, -1)
            .transpose(1, 2)
        )
        k, v = self.kv(x).view(*x.shape[:2], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = window_reverse(x + self.out(y), self.w, h, w)
        return self.head(x.mean((1, 2)))


class ConvStem(nn.Module):
    def __init__(self, image_size=32, dim=32, num_classes=10):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.BatchNorm2d(16),
            nn.ReLU(True),
            nn.Conv2d(16, dim, 1),
        )
        self.pos = nn.Parameter(torch.randn(1, dim, image_size // 4, image_size // 4))
        self.b, self.head = Blk(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.stem(x) + self.pos
        return self.head(self.b(x.flatten(2).mT).max(1).values)


class PVT(nn.Module):
    """keys reduced by a strided convolution"""

    def __init__(self, image_size=32, patch_size=4, dim=32, sr=2, num_classes=10):
        super().__init__()
        self.embed, self.sr = nn.Conv2d(3, dim, patch_size, patch_size), nn.Conv2d(dim, dim, sr, sr)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.norm, self.attn, self.ff = nn.LayerNorm(dim), Attn(dim), FF(dim)
        self.down = nn.Conv2d(dim, 2 * dim, 2, 2)
        self.head = nn.Linear(2 * dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        B, C, H, W = x.shape
        x = x.flatten(2).transpose(1, 2) + self.pos
        k = self.norm(self.sr(x.permute(0, 2, 1).reshape(B, C, H, W)).reshape(B, C, -1).permute(0, 2, 1))
        x = x + self.attn(x, k)
        x = x + self.ff(x)
        x = self.down(x.transpose(1, 2).reshape(B, C, H, W))
        return self.head(x.flatten(2).mean(-1))


class TimeSpace(nn.Module):
    def __init__(self, image_size=16, patch_size=4, frames=4, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv3d(3, dim, (1, patch_size, patch_size), (1, patch_size, patch_size))
        n = (image_size // patch_size) ** 2
        self.ps, self.pt = nn.Parameter(torch.randn(1, 1, n, dim)), nn.Parameter(torch.randn(1, frames, 1, dim))
        self.t, self.s = Blk(dim), Blk(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, video):
        x = rearrange(self.embed(video), "b d t h w -> b t (h w) d") + self.ps + self.pt
        b, _t, _n, _ = x.shape
        x = rearrange(self.t(rearrange(x, "b t n d -> (b n) t d")), "(b n) t d -> b t n d", b=b)
        x = rearrange(self.s(rearrange(x, "b t n d -> (b t) n d")), "(b t) n d -> b t n d", b=b)
        return self.head(x.mean((1, 2)))


class FramesAlone(nn.Module):
    """each frame through one ViT, scores averaged"""

    def __init__(self, image_size=16, patch_size=4, frames=4, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.b, self.head = Blk(dim), nn.Linear(dim, num_classes)

    def forward(self, video):
        b, t = video.shape[:2]
        x = self.embed(video.flatten(0, 1)).flatten(2).mT + self.pos
        x = self.b(x).mean(1).view(b, t, -1)
        return self.head(x).mean(1)


class Factorised(nn.Module):
    """ViViT: spatial encoder with a class token per frame, then a temporal one"""

    def __init__(self, image_size=16, patch_size=4, frames=4, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Sequential(
            Rearrange("b t c (h p) (w q) -> b t (h w) (p q c)", p=patch_size, q=patch_size),
            nn.Linear(3 * patch_size**2, dim),
        )
        n = (image_size // patch_size) ** 2
        self.pos = nn.Parameter(torch.randn(1, frames, n + 1, dim))
        self.space_token, self.time_token = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 1, dim))
        self.s, self.t, self.head = Blk(dim), Blk(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        b, t, _n, _ = x.shape
        x = torch.cat([repeat(self.space_token, "() n d -> b t n d", b=b, t=t), x], 2) + self.pos
        x = self.s(rearrange(x, "b t n d -> (b t) n d"))
        x = rearrange(x[:, 0], "(b t) d -> b t d", b=b)
        x = self.t(torch.cat([repeat(self.time_token, "() n d -> b n d", b=b), x], 1))
        return self.head(x[:, 0])


class RoPE2D(nn.Module):
    def __init__(self, image_size=(32, 48), patch_size=8, dim=32, heads=2, num_classes=10):
        super().__init__()
        self.embed, self.heads = nn.Conv2d(3, dim, patch_size, patch_size), heads
        h, w = image_size[0] // patch_size, image_size[1] // patch_size
        d = dim // heads
        f = 1.0 / 100 ** (torch.arange(0, d // 2, 2) / (d // 2))
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        ang = torch.cat([y.flatten()[:, None] * f, x.flatten()[:, None] * f], -1)
        self.register_buffer("rot", torch.polar(torch.ones_like(ang), ang))
        self.qkv, self.out, self.head = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def rotate(self, x):
        x = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(x * self.rot).flatten(3)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        B, N, _C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v)
        return self.head((x + self.out(o.transpose(1, 2).flatten(2))).mean(1))


class RelPos(nn.Module):
    def __init__(self, image_size=(32, 48), patch_size=8, dim=32, heads=4, num_classes=10):
        super().__init__()
        h, w = image_size[0] // patch_size, image_size[1] // patch_size
        self.embed, self.heads = nn.Conv2d(3, dim, patch_size, patch_size), heads
        self.table = nn.Parameter(torch.randn((2 * h - 1) * (2 * w - 1), heads))
        c = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")).flatten(1)
        r = (c[:, :, None] - c[:, None]).permute(1, 2, 0).contiguous()
        r[..., 0] += h - 1
        r[..., 1] += w - 1
        r[..., 0] *= 2 * w - 1
        self.register_buffer("index", r.sum(-1))
        self.qkv, self.out, self.head = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(N, N, -1).permute(2, 0, 1)
        a = (q @ k.mT * (C // self.heads) ** -0.5 + bias).softmax(-1)
        return self.head((x + self.out((a @ v).transpose(1, 2).reshape(B, N, C))).mean(1))


class LeViTBias(nn.Module):
    """absolute offsets"""

    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, num_classes=10):
        super().__init__()
        g = image_size // patch_size
        self.embed, self.heads = nn.Conv2d(3, dim, patch_size, patch_size), heads
        pts = [(i, j) for i in range(g) for j in range(g)]
        offs, idx = {}, []
        for p in pts:
            for q in pts:
                o = (abs(p[0] - q[0]), abs(p[1] - q[1]))
                offs.setdefault(o, len(offs))
                idx.append(offs[o])
        self.biases = nn.Parameter(torch.randn(heads, len(offs)))
        self.register_buffer("idxs", torch.tensor(idx).view(len(pts), len(pts)))
        self.qkv, self.out, self.head = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, self.heads, -1).split([C // self.heads] * 3, dim=3)
        q, k, v = q.permute(0, 2, 1, 3), k.permute(0, 2, 3, 1), v.permute(0, 2, 1, 3)
        a = (q @ k * (C // self.heads) ** -0.5 + self.biases[:, self.idxs]).softmax(-1)
        return self.head((x + self.out((a @ v).transpose(1, 2).reshape(B, N, C))).mean(1))


class MixerConv(nn.Module):
    """tokens mixed by Conv1d with tokens as channels"""

    def __init__(self, image_size=32, patch_size=8, dim=32, depth=2, num_classes=10):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.tm = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Conv1d(n, 2 * n, 1), nn.GELU(), nn.Conv1d(2 * n, n, 1))
            for _ in range(depth)
        )
        self.cm = nn.ModuleList(FF(dim) for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        for t, c in zip(self.tm, self.cm, strict=True):
            x = x + t(x)
            x = x + c(x)
        return self.head(x.mean(1))


class GMLP(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.embed, self.n1, self.n2 = nn.Conv2d(3, dim, patch_size, patch_size), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.up, self.down, self.sgu = nn.Linear(dim, 2 * dim), nn.Linear(dim, dim), nn.Linear(n, n)
        nn.init.ones_(self.sgu.bias)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        u, v = F.gelu(self.up(self.n1(x))).chunk(2, -1)
        v = self.sgu(self.n2(v).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.down(u * v)).mean(1))


class FNet(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        self.embed, self.norm, self.ff = nn.Conv2d(3, dim, patch_size, patch_size), nn.LayerNorm(dim), FF(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        x = self.norm(x + torch.fft.fft2(x).real)
        return self.head((x + self.ff(x)).mean(1))


class Hierarchical(nn.Module):
    """Hiera-like: a quarter of the tokens by max over the units of a mask"""

    def __init__(self, image_size=32, patch_size=4, dim=32, num_classes=10):
        super().__init__()
        self.g = image_size // patch_size
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, self.g**2, dim))
        self.b1, self.b2, self.head = Blk(dim), Blk(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT + self.pos
        b, n, c = x.shape
        g = self.g
        x = x.view(b, g // 2, 2, g // 2, 2, c).permute(0, 2, 4, 1, 3, 5).reshape(b, n, c)  # unroll
        x = self.b1(x)
        x = x.view(b, 4, n // 4, c).max(1).values
        return self.head(self.b2(x).mean(1))


class Segmenter(nn.Module):
    """class embeddings beside the patches, masks by a product"""

    def __init__(self, image_size=(32, 48), patch_size=8, dim=32, num_classes=5):
        super().__init__()
        self.p = patch_size
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, image_size[0] * image_size[1] // patch_size**2, dim))
        self.cls_emb = nn.Parameter(torch.randn(1, num_classes, dim))
        self.b, self.d = Blk(dim), Blk(dim)
        self.k = num_classes
        self.norm = nn.LayerNorm(num_classes)

    def forward(self, im):
        H, W = im.shape[2:]
        x = self.b(self.embed(im).flatten(2).mT + self.pos)
        x = self.d(torch.cat([x, self.cls_emb.expand(len(x), -1, -1)], 1))
        patches, cls = x[:, : -self.k], x[:, -self.k :]
        masks = F.normalize(patches, dim=-1) @ F.normalize(cls, dim=-1).transpose(1, 2)
        masks = rearrange(self.norm(masks), "b (h w) n -> b n h w", h=H // self.p)
        return F.interpolate(masks, size=(H, W), mode="bilinear")


class PixelShuffleSR(nn.Module):
    def __init__(self, image_size=16, dim=32, up=2):
        super().__init__()
        self.conv, self.b = nn.Conv2d(3, dim, 3, padding=1), Blk(dim)
        self.up = nn.Sequential(nn.Conv2d(dim, 3 * up**2, 3, padding=1), nn.PixelShuffle(up))

    def forward(self, x):
        f = self.conv(x)
        b, c, h, w = f.shape
        y = self.b(f.flatten(2).transpose(1, 2)).transpose(1, 2).view(b, c, h, w)
        return self.up(f + y)


class SlotAttention(nn.Module):
    """softmax over slots, then normalised over the inputs: right"""

    def __init__(self, image_size=32, dim=32, slots=5, iters=2):
        super().__init__()
        self.enc, self.iters = nn.Conv2d(3, dim, 8, 8), iters
        self.slots = nn.Parameter(torch.randn(1, slots, dim))
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.gru, self.norm = nn.GRUCell(dim, dim), nn.LayerNorm(dim)

    def forward(self, x):
        x = self.enc(x).flatten(2).mT
        k, v = self.k(x), self.v(x)
        s = self.slots.expand(len(x), -1, -1)
        for _ in range(self.iters):
            a = (self.q(self.norm(s)) @ k.mT * k.shape[-1] ** -0.5).softmax(dim=1) + 1e-8
            a = a / a.sum(-1, keepdim=True)
            u = a @ v
            s = self.gru(u.flatten(0, 1), s.flatten(0, 1)).view_as(s)
        return s


class AttentionPool(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.b, self.probe = Blk(dim), nn.Parameter(torch.randn(1, 1, dim))
        self.mha, self.head = nn.MultiheadAttention(dim, 4, batch_first=True), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.b(self.embed(x).flatten(2).mT + self.pos)
        y = self.mha(self.probe.expand(len(x), -1, -1), x, x, need_weights=False)[0]
        return self.head(y.squeeze(1))


class SeqFirst(nn.Module):
    """tokens first, as nn.MultiheadAttention wants by default: right"""

    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls = nn.Parameter(torch.randn(dim))
        self.pos = nn.Parameter(torch.randn((image_size // patch_size) ** 2 + 1, dim))
        self.n, self.mha, self.head = nn.LayerNorm(dim), nn.MultiheadAttention(dim, 4), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        x = x.reshape(x.shape[0], x.shape[1], -1).permute(0, 2, 1)
        x = torch.cat([self.cls + torch.zeros(x.shape[0], 1, x.shape[-1]), x], 1) + self.pos
        x = x.permute(1, 0, 2)
        y = self.n(x)
        x = x + self.mha(y, y, y, need_weights=False)[0]
        x = x.permute(1, 0, 2)
        return self.head(x[:, 0])


class SharedBias(nn.Module):
    """one bias for all heads, ALiBi-like slopes for others, DropPath, LayerScale"""

    def __init__(self, image_size=32, patch_size=8, dim=32, heads=4, num_classes=10):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.embed, self.heads = nn.Conv2d(3, dim, patch_size, patch_size), heads
        self.bias = nn.Parameter(torch.randn(1, 1, n, n))
        d = (torch.arange(n)[:, None] - torch.arange(n)).abs().float()
        self.register_buffer("alibi", -d[None] * torch.tensor([2.0**-i for i in range(heads)])[:, None, None])
        self.qkv, self.out, self.head = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)
        self.gamma = nn.Parameter(1e-5 * torch.ones(dim))

    def drop_path(self, x):
        if not self.training:
            return x
        keep = x.new_empty(x.shape[0], 1, 1).bernoulli_(0.9)
        return x * keep / 0.9

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = (q @ k.mT * (C // self.heads) ** -0.5 + self.bias + self.alibi).softmax(-1)
        x = x + self.drop_path(self.gamma * self.out((a @ v).transpose(1, 2).reshape(B, N, C)))
        return self.head(x.mean(1))


class ZigZag(nn.Module):
    """scans: the map is read in four directions by a recurrent layer"""

    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, dim, patch_size, patch_size), nn.LayerNorm(dim)
        self.gru, self.out = nn.GRU(dim, dim, batch_first=True), nn.Linear(dim, dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        b, c, h, w = x.shape
        rows = x.flatten(2).mT
        cols = x.transpose(2, 3).flatten(2).mT
        y = self.gru(self.norm(rows))[0]
        y = y + self.gru(self.norm(rows).flip(1))[0].flip(1)
        z = self.gru(self.norm(cols))[0] + self.gru(self.norm(cols).flip(1))[0].flip(1)
        y = y + z.transpose(1, 2).reshape(b, c, w, h).transpose(2, 3).flatten(2).mT
        return self.head((rows + self.out(y)).mean(1))


class Distilled(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token, self.dist_token = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2 + 2, dim))
        self.b, self.head, self.head_dist = Blk(dim), nn.Linear(dim, num_classes), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        x = self.b(
            torch.cat([self.cls_token.expand(len(x), -1, -1), self.dist_token.expand(len(x), -1, -1), x], 1) + self.pos
        )
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


class Contrastive(nn.Module):
    """SimCLR / DINO-like losses inside forward"""

    def __init__(self, image_size=32, patch_size=8, dim=32):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.b, self.proj = Blk(dim), nn.Linear(dim, 16)
        self.register_buffer("center", torch.zeros(1, 16))

    def encode(self, x):
        return self.proj(self.b(self.embed(x).flatten(2).mT).mean(1))

    def forward(self, a, b):
        za, zb = self.encode(a), self.encode(b)
        logits = F.normalize(za, dim=-1) @ F.normalize(zb, dim=-1).T / 0.1
        labels = torch.arange(len(logits))
        nce = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        with torch.no_grad():
            t = ((za - self.center) / 0.04).softmax(-1)
        dino = -(t * (zb / 0.1).log_softmax(-1)).sum(-1).mean()
        zc = za - za.mean(0)
        cov = (zc.T @ zc) / (len(za) - 1)
        return nce + dino + (cov - torch.diag(torch.diagonal(cov))).pow(2).mean()


class Focal(nn.Module):
    """NaFlex-like: masked mean over valid tokens"""

    def __init__(self, patch_size=4, dim=32, num_classes=10):
        super().__init__()
        self.proj, self.pos = nn.Linear(3 * patch_size**2, dim), nn.Embedding(64, dim)
        self.b, self.head = Blk(dim), nn.Linear(dim, num_classes)

    def forward(self, patches, valid):
        x = self.proj(patches) + self.pos(torch.arange(patches.shape[1]))
        x = self.b(x, mask=valid[:, None, None, :])
        w = valid.unsqueeze(-1).float()
        return self.head((x * w).sum(1) / w.sum(1).clamp(min=1))


class DeformableSample(nn.Module):
    def __init__(self, image_size=32, patch_size=4, dim=32, num_classes=10):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.offset, self.attn, self.head = nn.Conv2d(dim, 2, 3, 2, 1), Attn(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.embed(x)
        _b, _c, _h, _w = x.shape
        off = self.offset(x).tanh().permute(0, 2, 3, 1)
        gh, gw = off.shape[1:3]
        ref = torch.stack(torch.meshgrid(torch.linspace(-1, 1, gh), torch.linspace(-1, 1, gw), indexing="ij"), -1)
        s = F.grid_sample(x, (ref + off).flip(-1), align_corners=True)
        q = x.flatten(2).mT
        return self.head((q + self.attn(q, s.flatten(2).mT)).mean(1))


INPUTS = {
    "DiT": ("x=2x3x16x16", "t=2"),
    "TimeSpace": ("video=2x3x4x16x16",),
    "FramesAlone": ("video=2x4x3x16x16",),
    "Factorised": ("x=2x4x3x16x16",),
    "CausalPixels": ("ids=2x64:int64",),
    "Contrastive": ("a=4x3x32x32", "b=4x3x32x32"),
    "Focal": ("patches=3x13x48", "valid=3x13:bool"),
    "Perceiver": ("x=2x3x16x16",),
    "PixelShuffleSR": ("x=2x3x16x16",),
}
PARTS = {"FF", "Attn", "Blk", "XCA", "LPI", "AxialAttention", "LinearAttn", "MaxBlock"}
