"""Right models with code that looks odd: each does what its paper or its users want."""

# ruff: noqa: B905, RUF059
import math

import torch
import torch.nn.functional as F
from einops import pack, rearrange, repeat, unpack
from einops.layers.torch import Rearrange, Reduce
from torch import nn


class Patches(nn.Module):
    def __init__(self, dim=48, patch=8, channels=3):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class SelfAttention(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def forward(self, x, mask=None, causal=False):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class Block(nn.Module):
    def __init__(self, dim=48, heads=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = SelfAttention(dim, heads), Mlp(dim, dim * 2)

    def forward(self, x, **given):
        x = x + self.attn(self.norm1(x), **given)
        return x + self.mlp(self.norm2(x))


class TemporalShift(nn.Module):
    """TSM: a share of the features goes one frame forth, another one back."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.frames = frames
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def shift(self, x, T):
        x = x.view(-1, T, *x.shape[1:])
        fold = x.shape[-1] // 4
        out = torch.zeros_like(x)
        out[:, :-1, ..., :fold] = x[:, 1:, ..., :fold]
        out[:, 1:, ..., fold : 2 * fold] = x[:, :-1, ..., fold : 2 * fold]
        out[..., 2 * fold :] = x[..., 2 * fold :]
        return out.flatten(0, 1)

    def forward(self, clip):
        B, T = clip.shape[:2]
        x = self.patch(clip.flatten(0, 1))
        x = self.block(self.shift(x, T)).mean(1)
        return self.fc(x.view(B, T, -1).mean(1))


class MaskHeads(nn.Module):
    """A mask for each image and head, in the order of nn.MultiheadAttention."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch = Patches(dim, patch_size)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x, keep):
        x = self.patch(x)
        mask = ~(keep[:, None, :] & keep[:, :, None]) & ~torch.eye(keep.shape[1], dtype=torch.bool)
        mask = mask.repeat_interleave(self.heads, 0)
        y = self.norm(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        x = x * keep[..., None]
        return self.fc(x.sum(1) / keep.sum(1, keepdim=True).clamp(min=1))


class SeqFirstDecoder(nn.Module):
    """Tokens first from the patches to the head."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_queries=5, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.pos = nn.Parameter(torch.randn((image_size // patch_size) ** 2, 1, dim))
        self.queries = nn.Embedding(num_queries, dim)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(dim, heads, dim * 2), depth)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        memory = self.patch(x).permute(1, 0, 2) + self.pos
        tgt = self.queries.weight.unsqueeze(1).repeat(1, memory.shape[1], 1)
        return self.fc(self.decoder(tgt, memory)).transpose(0, 1)


class CausalLast(nn.Module):
    """An image GPT: the last token has seen all others."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x) + self.pos
        for block in self.blocks:
            x = block(x, causal=True)
        return self.fc(x[:, -1])


class NetVlad(nn.Module):
    """Soft assignment to clusters sums to one over clusters; residuals are summed over tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, clusters=6, num_classes=10):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.assign = nn.Linear(dim, clusters)
        self.centres = nn.Parameter(torch.randn(clusters, dim))
        self.fc = nn.Linear(clusters * dim, num_classes)

    def forward(self, x):
        x = self.block(self.patch(x))
        a = self.assign(x).softmax(dim=-1)
        vlad = torch.einsum("bnk,bnd->bkd", a, x) - a.sum(1)[..., None] * self.centres
        return self.fc(F.normalize(vlad, dim=-1).flatten(1))


class NetVladLoop(nn.Module):
    """The same with a product of differences."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, clusters=6, num_classes=10):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.assign = nn.Linear(dim, clusters)
        self.centres = nn.Parameter(torch.randn(clusters, dim))
        self.fc = nn.Linear(clusters * dim, num_classes)

    def forward(self, x):
        x = self.block(self.patch(x))
        a = F.softmax(self.assign(x), dim=2)
        residual = x[:, :, None] - self.centres
        vlad = (a[..., None] * residual).sum(dim=1)
        return self.fc(vlad.flatten(1))


class TwoTowers(nn.Module):
    """Images by the mean of patches, captions by their first token, as BERT."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, vocab=100, context=9):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.words, self.places = nn.Embedding(vocab, dim), nn.Embedding(context, dim)
        self.text = Block(dim, heads)
        self.image_proj, self.text_proj = nn.Linear(dim, 32, bias=False), nn.Linear(dim, 32, bias=False)

    def forward(self, img, ids):
        image = self.image_proj(self.block(self.patch(img)).mean(1))
        t = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        text = self.text_proj(self.text(t)[:, 0])
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1)


class PairLogits(TwoTowers):
    """Every image with every caption: the scores of a pair depend on both."""

    def forward(self, img, ids):
        image, text = super().forward(img, ids)
        return image @ text.t(), text @ image.t()


class Tubelets(nn.Module):
    """Two frames are one token."""

    def __init__(self, frames=4, image_size=32, patch_size=8, tubelet=2, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj = nn.Conv3d(3, dim, (tubelet, patch_size, patch_size), (tubelet, patch_size, patch_size))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        x = self.proj(clip).flatten(2).transpose(1, 2)
        return self.fc(self.block(x).mean(1))


class TubeletsFixed(nn.Module):
    """The same, with its sizes in the code."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Conv3d(3, 48, (2, 8, 8), stride=(2, 8, 8))
        self.block, self.fc = Block(48, 4), nn.Linear(48, 10)

    def forward(self, clip):
        x = self.proj(clip.transpose(1, 2)).flatten(2).mT
        return self.fc(self.block(x).mean(1))


class TokenShift(nn.Module):
    """RWKV: half of the features are those of the token before."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.mlp, self.block = Patches(dim, patch_size), Mlp(dim, 2 * dim), Block(dim, heads)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
        half = x.shape[-1] // 2
        x = x + self.mlp(torch.cat([before[..., :half], x[..., half:]], dim=-1))
        return self.fc(self.block(x).mean(1))


class SoftMoE(nn.Module):
    """Slots get means of tokens, tokens get means of slots."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, experts=3, slots=2, num_classes=10):
        super().__init__()
        self.experts_n = experts
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.phi = nn.Parameter(torch.randn(dim, experts, slots))
        self.experts = nn.ModuleList(Mlp(dim, dim * 2) for _ in range(experts))

    def forward(self, x):
        x = self.patch(x)
        logits = torch.einsum("bnd,des->bnes", x, self.phi)
        dispatch = logits.softmax(dim=1)
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)
        slots = torch.einsum("bnd,bnes->besd", x, dispatch)
        out = torch.stack([f(slots[:, i]) for i, f in enumerate(self.experts)], dim=1)
        x = x + torch.einsum("besd,bnes->bnd", out, combine)
        return self.fc(self.block(x).mean(1))


class EfficientAttention(nn.Module):
    """Softmax of the queries over features, of the keys over tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        q, k = q.softmax(dim=-1), k.softmax(dim=-2)
        context = k.transpose(-1, -2) @ v
        return self.fc((x + self.proj(rearrange(q @ context, "b h n d -> b n (h d)"))).mean(1))


class Agents(nn.Module):
    """Agent attention: agents gather by one softmax, and hand out by another."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, agents=3, num_classes=10):
        super().__init__()
        self.heads, self.pool = heads, nn.AdaptiveAvgPool2d(agents)
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.qkv, self.out, self.fc = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        m = self.proj(img)
        h, w = m.shape[2:]
        x = rearrange(m, "b c h w -> b (h w) c")
        q, k, v = self.qkv(x).chunk(3, -1)
        agents = self.pool(rearrange(q, "b (h w) c -> b c h w", h=h)).flatten(2).transpose(1, 2)
        q, k, v, agents = (rearrange(one, "b n (h d) -> b h n d", h=self.heads) for one in (q, k, v, agents))
        gathered = (agents @ k.mT).softmax(-1) @ v
        out = (q @ agents.mT).softmax(-1) @ gathered
        return self.fc((x + self.out(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class Differential(nn.Module):
    """The difference of two softmaxes."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch = Patches(dim, patch_size)
        self.to_q, self.to_k, self.to_v = nn.Linear(dim, 2 * dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.lam, self.out, self.fc = nn.Parameter(torch.tensor(0.3)), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k = (
            rearrange(one(x), "b n (h two d) -> two b h n d", two=2, h=self.heads) for one in (self.to_q, self.to_k)
        )
        v = rearrange(self.to_v(x), "b n (h d) -> b h n d", h=self.heads)
        one, two = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        out = (one - self.lam * two) @ v
        return self.fc((x + self.out(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class SoftmaxPlusOne(nn.Module):
    """A column of zeros lets a query attend to nothing."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        scores = F.pad(q @ k.mT, (1, 0))
        out = scores.softmax(-1)[..., 1:] @ v
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class SigmoidAttention(nn.Module):
    """Weights need not sum to one."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.tensor(-2.0))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        out = torch.sigmoid(q @ k.mT * 0.2 + self.bias) @ v
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class CosineAttention(nn.Module):
    """Swin v2: normalised queries and keys, a learned scale for each head."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.log(10 * torch.ones(heads, 1, 1)))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attn = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        attn = (attn * self.scale.clamp(max=math.log(100)).exp()).softmax(-1)
        return self.fc((x + self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))).mean(1))


class MemoryKeys(nn.Module):
    """Learned keys and values stand beside those of the tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, memories=5, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mem = nn.Parameter(torch.randn(2, heads, memories, dim // heads))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        mk, mv = repeat(self.mem, "t h m d -> t b h m d", b=len(x))
        out = F.scaled_dot_product_attention(q, torch.cat([mk, k], 2), torch.cat([mv, v], 2))
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class FeaturesInterleaved(nn.Module):
    """(h d three): a layout of its own, the same for q, k and v."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (h d three) -> three b h n d", three=3, h=self.heads)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class BidirectionalScan(nn.Module):
    """Vision Mamba without its kernels: forth, and back on the flipped tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.forth, self.back = nn.GRU(dim, dim, batch_first=True), nn.GRU(dim, dim, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        y = self.norm(x)
        x = x + self.forth(y)[0] + self.back(y.flip(1))[0].flip(1)
        return self.fc(x.mean(1))


class FourWays(nn.Module):
    """VMamba: rows, columns, and both turned round; each is taken back before the sum."""

    def __init__(self, image_size=32, patch_size=4, dim=48, num_classes=10):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.mix = nn.Conv1d(dim, dim, 5, padding=4)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def scan(self, s):
        return self.mix(s)[..., : s.shape[-1]]

    def forward(self, img):
        m = self.proj(img)
        B, C, H, W = m.shape
        rows = m.flatten(2)
        columns = m.transpose(2, 3).flatten(2)
        a = self.scan(rows) + self.scan(rows.flip(-1)).flip(-1)
        c = self.scan(columns) + self.scan(columns.flip(-1)).flip(-1)
        c = c.view(B, C, W, H).transpose(2, 3).flatten(2)
        x = (rows + a + c).transpose(1, 2)
        return self.fc(self.norm(x).mean(1))


class GlobalFilter(nn.Module):
    """GFNet: a learned filter in the frequencies."""

    def __init__(self, image_size=32, patch_size=4, dim=48, num_classes=10):
        super().__init__()
        side = image_size // patch_size
        self.patch, self.mlp = Patches(dim, patch_size), Mlp(dim, 2 * dim)
        self.filter = nn.Parameter(torch.randn(side, side // 2 + 1, dim, 2) * 0.02)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        B, N, C = x.shape
        side = int(math.sqrt(N))
        f = torch.fft.rfft2(x.view(B, side, side, C), dim=(1, 2), norm="ortho")
        f = f * torch.view_as_complex(self.filter)
        x = x + torch.fft.irfft2(f, s=(side, side), dim=(1, 2), norm="ortho").reshape(B, N, C)
        return self.fc((x + self.mlp(x)).mean(1))


class ShiftMlp(nn.Module):
    """S2-MLP: four groups of features move to four sides."""

    def __init__(self, image_size=32, patch_size=4, dim=48, num_classes=10):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.fc1, self.fc2, self.fc = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.proj(img).permute(0, 2, 3, 1)
        y = self.fc1(x)
        a, b, c, d = y.chunk(4, dim=-1)
        y = torch.cat([a.roll(1, 1), b.roll(-1, 1), c.roll(1, 2), d.roll(-1, 2)], dim=-1)
        x = x + self.fc2(F.gelu(y))
        return self.fc(x.mean((1, 2)))


class TokenPruning(nn.Module):
    """EViT: tokens that the class token looks at stay, the others become one."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.cls_token = Patches(dim, patch_size), nn.Parameter(torch.randn(1, 1, dim))
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        attn = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.proj(rearrange(attn @ v, "b h n d -> b n (h d)"))
        seen = attn[:, :, 0, 1:].mean(1)
        order = seen.argsort(dim=1, descending=True)
        keep = order.shape[1] // 2
        rest = x[:, 1:]
        kept = rest.gather(1, order[:, :keep, None].expand(-1, -1, rest.shape[-1]))
        others = rest.gather(1, order[:, keep:, None].expand(-1, -1, rest.shape[-1]))
        weight = seen.gather(1, order[:, keep:])[..., None]
        fused = (others * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        x = self.block(torch.cat([x[:, :1], kept, fused], dim=1))
        return self.fc(x[:, 0])


class ColumnMajor(nn.Module):
    """Tokens go down the columns, and come back so."""

    def __init__(self, image_size=(32, 48), patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.proj, self.block = nn.Conv2d(3, dim, patch_size, patch_size), Block(dim, heads)
        self.head = nn.Conv2d(dim, num_classes, 3, padding=1)

    def forward(self, img):
        m = self.proj(img)
        h, w = m.shape[2:]
        x = rearrange(m, "b c h w -> b (w h) c")
        m = rearrange(self.block(x), "b (w h) c -> b c h w", w=w)
        return F.interpolate(self.head(m), size=img.shape[-2:], mode="bilinear")


class ChannelsLast(nn.Module):
    """Images of H × W × 3, as files have them."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.p = patch_size
        self.embed = nn.Sequential(
            Rearrange("b (h p) (w q) c -> b (h w) (p q c)", p=patch_size, q=patch_size), nn.Linear(192, dim)
        )
        self.block, self.fc = (
            Block(dim, heads),
            nn.Sequential(Reduce("b n d -> b d", "mean"), nn.Linear(dim, num_classes)),
        )

    def forward(self, img):
        return self.fc(self.block(self.embed(img)))


class UnfoldMerging(nn.Module):
    """nn.Unfold merges 2 × 2 tokens."""

    def __init__(self, image_size=32, patch_size=4, dim=24, heads=4, num_classes=10):
        super().__init__()
        self.proj, self.block = nn.Conv2d(3, dim, patch_size, patch_size), Block(dim, heads)
        self.unfold, self.merge = nn.Unfold(2, stride=2), nn.Linear(4 * dim, 2 * dim)
        self.block2, self.fc = Block(2 * dim, heads), nn.Linear(2 * dim, num_classes)

    def forward(self, img):
        m = self.proj(img)
        B, C, H, W = m.shape
        x = self.block(m.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(B, C, H, W)
        x = self.merge(self.unfold(x).transpose(1, 2))
        return self.fc(self.block2(x).mean(1))


class PixelUnshuffle(nn.Module):
    """Space to depth, in place of strides."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.down = nn.PixelUnshuffle(patch_size)
        self.proj = nn.Conv2d(3 * patch_size**2, dim, 1)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.proj(self.down(img)).flatten(2).transpose(1, 2)
        return self.fc(self.block(x).mean(1))


class SoftArgmax(nn.Module):
    """Key points: softmax over all places of a heat map, then the mean of the coordinates."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, points=6):
        super().__init__()
        self.proj, self.block, self.heat = (
            nn.Conv2d(3, dim, patch_size, patch_size),
            Block(dim, heads),
            nn.Linear(dim, points),
        )

    def forward(self, img):
        m = self.proj(img)
        h, w = m.shape[2:]
        heat = self.heat(self.block(m.flatten(2).transpose(1, 2)))
        prob = heat.softmax(dim=1).transpose(1, 2).reshape(len(m), -1, h, w)
        ys, xs = torch.linspace(0, 1, h), torch.linspace(0, 1, w)
        y = (prob.sum(3) * ys).sum(-1)
        x = (prob.sum(2) * xs).sum(-1)
        return torch.stack([x, y], dim=-1)


class SpanScores(nn.Module):
    """Where something begins and ends among frames: softmax over frames."""

    def __init__(self, frames=5, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.space, self.time = Patches(dim, patch_size), Block(dim, heads), Block(dim, heads)
        self.fc = nn.Linear(dim, 2)

    def forward(self, clip):
        b = clip.shape[0]
        x = self.space(self.patch(rearrange(clip, "b t c h w -> (b t) c h w"))).mean(1)
        return self.fc(self.time(rearrange(x, "(b t) d -> b t d", b=b))).softmax(dim=1)


class MaskDecoder(nn.Module):
    """SAM: masks are products of what tokens say with upsampled features."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, masks=3):
        super().__init__()
        self.proj, self.block = nn.Conv2d(3, dim, patch_size, patch_size), Block(dim, heads)
        self.mask_tokens = nn.Embedding(masks, dim)
        self.up = nn.Sequential(nn.ConvTranspose2d(dim, 12, 2, 2), nn.GELU())
        self.hyper = nn.ModuleList(Mlp(dim, dim) for _ in range(masks))
        self.small = nn.Linear(dim, 12)
        self.iou = nn.Linear(dim, 1)

    def forward(self, img):
        m = self.proj(img)
        B, C, H, W = m.shape
        tokens = self.mask_tokens.weight.unsqueeze(0).expand(B, -1, -1)
        x = self.block(torch.cat([tokens, m.flatten(2).transpose(1, 2)], dim=1))
        n = tokens.shape[1]
        up = self.up(x[:, n:].transpose(1, 2).view(B, C, H, W))
        b, c, h, w = up.shape
        weights = torch.stack([self.small(f(x[:, i])) for i, f in enumerate(self.hyper)], dim=1)
        masks = (weights @ up.view(b, c, h * w)).view(b, -1, h, w)
        return masks, self.iou(x[:, :n]).squeeze(-1)


class AuxiliaryHeads(nn.Module):
    """DETR returns what each layer says."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=3, num_queries=5, num_classes=7):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.query = nn.Parameter(torch.randn(num_queries, dim))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, heads, 2 * dim, batch_first=True) for _ in range(depth)
        )
        self.classes, self.boxes = nn.Linear(dim, num_classes + 1), nn.Linear(dim, 4)

    def forward(self, img):
        memory, out = self.patch(img), []
        tgt = repeat(self.query, "q d -> b q d", b=len(img))
        for layer in self.layers:
            tgt = layer(tgt, memory)
            out.append({"logits": self.classes(tgt), "boxes": self.boxes(tgt).sigmoid()})
        return {**out[-1], "aux": out[:-1]}


class MaskedAttentionDecoder(nn.Module):
    """Mask2Former: queries attend where the last mask was, and no gradient goes through that."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, queries=5):
        super().__init__()
        self.heads = heads
        self.patch = Patches(dim, patch_size)
        self.queries = nn.Parameter(torch.randn(1, queries, dim))
        self.embed = nn.Linear(dim, dim)
        self.cross = nn.MultiheadAttention(dim, heads, batch_first=True)

    def masks(self, q, memory):
        return torch.einsum("bqc,bnc->bqn", self.embed(q), memory)

    def forward(self, img):
        memory = self.patch(img)
        q = self.queries.expand(len(img), -1, -1)
        first = self.masks(q, memory)
        mask = (first.sigmoid() < 0.5).detach()
        mask = mask & ~mask.all(-1, keepdim=True)
        q = q + self.cross(q, memory, memory, attn_mask=mask.repeat_interleave(self.heads, 0))[0]
        return first, self.masks(q, memory)


class Mae(nn.Module):
    """A masked autoencoder with a class token and two tables."""

    def __init__(self, image_size=32, patch_size=8, dim=48, decoder_dim=32, heads=4, ratio=0.75):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.p, self.ratio = patch_size, ratio
        self.patch, self.cls_token = Patches(dim, patch_size), nn.Parameter(torch.randn(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, n + 1, dim))
        self.encoder, self.bridge = Block(dim, heads), nn.Linear(dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.randn(1, 1, decoder_dim))
        self.decoder_pos = nn.Parameter(torch.randn(1, n + 1, decoder_dim))
        self.decoder, self.pred = Block(decoder_dim, heads), nn.Linear(decoder_dim, patch_size**2 * 3)

    def forward(self, imgs):
        x = self.patch(imgs) + self.pos[:, 1:]
        B, L, D = x.shape
        keep = max(int(L * (1 - self.ratio)), 2)
        shuffle = torch.rand(B, L).argsort(1)
        restore = shuffle.argsort(1)
        x = torch.take_along_dim(x, shuffle[:, :keep, None], dim=1)
        mask = (restore >= keep).float()
        x = self.encoder(torch.cat([(self.cls_token + self.pos[:, :1]).expand(B, -1, -1), x], 1))
        x = self.bridge(x)
        full = torch.cat([x[:, 1:], self.mask_token.expand(B, L - keep, -1)], 1)
        full = torch.take_along_dim(full, restore[..., None], dim=1)
        x = self.decoder(torch.cat([x[:, :1], full], 1) + self.decoder_pos)
        pred = self.pred(x)[:, 1:]
        target = rearrange(imgs, "b c (h p) (w q) -> b (h w) (p q c)", p=self.p, q=self.p)
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6) ** 0.5
        return (((pred - target) ** 2).mean(-1) * mask).sum() / mask.sum()


class MaeScatter(nn.Module):
    """The same with masks of booleans."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.p = patch_size
        self.patch, self.pos = Patches(dim, patch_size), nn.Parameter(torch.randn(1, n, dim))
        self.encoder, self.decoder = Block(dim, heads), Block(dim, heads)
        self.mask_token, self.pred = nn.Parameter(torch.randn(dim)), nn.Linear(dim, patch_size**2 * 3)

    def forward(self, imgs):
        x = self.patch(imgs) + self.pos
        B, L, D = x.shape
        ids = torch.rand(B, L).topk(L // 2, dim=1).indices
        keep = torch.zeros(B, L, dtype=torch.bool).scatter_(1, ids, True)
        seen = self.encoder(x[keep].view(B, -1, D))
        full = self.mask_token.expand(B, L, D).clone()
        full[keep] = seen.flatten(0, 1)
        return self.pred(self.decoder(full + self.pos))


class Jepa(nn.Module):
    """The target encoder gets no gradient; the predictor guesses its tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.context = nn.Sequential(Patches(dim, patch_size), Block(dim, heads))
        self.target = nn.Sequential(Patches(dim, patch_size), Block(dim, heads))
        self.target.requires_grad_(False)
        self.pos, self.mask = nn.Parameter(torch.randn(1, n, dim)), nn.Parameter(torch.randn(1, 1, dim))
        self.predictor, self.out = Block(dim, heads), nn.Linear(dim, dim)

    def forward(self, img):
        z = self.context(img) + self.pos
        with torch.no_grad():
            t = F.layer_norm(self.target(img), (z.shape[-1],))
        n = z.shape[1]
        asked = (self.mask + self.pos[:, n // 2 :]).expand(len(z), -1, -1)
        guess = self.predictor(torch.cat([z[:, : n // 2], asked], 1))[:, n // 2 :]
        return F.smooth_l1_loss(self.out(guess), t[:, n // 2 :])


class Byol(nn.Module):
    """Two views; targets are detached."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.backbone, self.project = nn.Sequential(Patches(dim, patch_size), Block(dim, heads)), nn.Linear(dim, 32)
        self.predict = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))

    def forward(self, one, two):
        z = [self.project(self.backbone(x).mean(1)) for x in (one, two)]
        p = [self.predict(x) for x in z]
        return 2 - (F.cosine_similarity(p[0], z[1].detach()) + F.cosine_similarity(p[1], z[0].detach()))


class SimClr(nn.Module):
    """Both views go through as one batch; NT-Xent compares all with all."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, temperature=0.5):
        super().__init__()
        self.backbone, self.project = nn.Sequential(Patches(dim, patch_size), Block(dim, heads)), nn.Linear(dim, 32)
        self.temperature = temperature

    def forward(self, one, two):
        b = len(one)
        z = F.normalize(self.project(self.backbone(torch.cat([one, two])).mean(1)), dim=-1)
        sim = z @ z.T / self.temperature
        sim = sim.masked_fill(torch.eye(2 * b, dtype=torch.bool), float("-inf"))
        return F.cross_entropy(sim, (torch.arange(2 * b) + b) % (2 * b))


class VicReg(nn.Module):
    """Variance and covariance over the batch are what it is about."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.backbone, self.project = nn.Sequential(Patches(dim, patch_size), Block(dim, heads)), nn.Linear(dim, 32)

    def forward(self, one, two):
        x, y = (self.project(self.backbone(v).mean(1)) for v in (one, two))
        same = F.mse_loss(x, y)
        x, y = x - x.mean(dim=0), y - y.mean(dim=0)
        std = sum(F.relu(1 - (v.var(dim=0) + 1e-4).sqrt()).mean() for v in (x, y))
        cov = sum(((v.T @ v) / (len(v) - 1)).fill_diagonal_(0).pow(2).sum() / v.shape[1] for v in (x, y))
        return same + std + cov


class Dino(nn.Module):
    """The centre is a buffer; the teacher has no gradient."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, out=24):
        super().__init__()
        self.student = nn.Sequential(
            Patches(dim, patch_size), Block(dim, heads), Reduce("b n d -> b d", "mean"), nn.Linear(dim, out)
        )
        self.teacher = nn.Sequential(
            Patches(dim, patch_size), Block(dim, heads), Reduce("b n d -> b d", "mean"), nn.Linear(dim, out)
        )
        for one in self.teacher.parameters():
            one.requires_grad = False
        self.register_buffer("centre", torch.zeros(1, out))

    def forward(self, one, two):
        with torch.no_grad():
            t = ((self.teacher(one) - self.centre) / 0.04).softmax(-1)
        return -(t * (self.student(two) / 0.1).log_softmax(-1)).sum(-1).mean()


class Siamese(nn.Module):
    """Change between two images: the difference of their maps."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4):
        super().__init__()
        self.proj, self.block = nn.Conv2d(3, dim, patch_size, patch_size), Block(dim, heads)
        self.head = nn.Sequential(nn.ConvTranspose2d(dim, 16, patch_size, patch_size), nn.ReLU(), nn.Conv2d(16, 1, 1))

    def encode(self, img):
        m = self.proj(img)
        return rearrange(self.block(rearrange(m, "b c h w -> b (h w) c")), "b (h w) c -> b c h w", h=m.shape[2])

    def forward(self, before, after):
        return self.head((self.encode(before) - self.encode(after)).abs())


class Correlation(nn.Module):
    """Optical flow: every place of one image with every place of the other."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block, self.flow = (
            Patches(dim, patch_size),
            Block(dim, heads),
            nn.Linear((image_size // patch_size) ** 2, 2),
        )

    def forward(self, one, two):
        a, b = (self.block(self.patch(x)) for x in (one, two))
        corr = torch.einsum("bnd,bmd->bnm", a, b) / math.sqrt(a.shape[-1])
        return self.flow(corr)


class CrossScale(nn.Module):
    """CrossViT: the class token of one branch asks the patches of the other."""

    def __init__(self, image_size=32, small=4, large=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.a, self.b = Patches(dim, small), Patches(dim, large)
        self.cls_a, self.cls_b = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 1, dim))
        self.block_a, self.block_b = Block(dim, heads), Block(dim, heads)
        self.ask_a, self.ask_b = (nn.MultiheadAttention(dim, heads, batch_first=True) for _ in range(2))
        self.fc_a, self.fc_b = nn.Linear(dim, num_classes), nn.Linear(dim, num_classes)

    def forward(self, img):
        a = torch.cat([self.cls_a.expand(len(img), -1, -1), self.a(img)], 1)
        b = torch.cat([self.cls_b.expand(len(img), -1, -1), self.b(img)], 1)
        a, b = self.block_a(a), self.block_b(b)
        (ca, pa), (cb, pb) = (x.split([1, x.shape[1] - 1], 1) for x in (a, b))
        ca = ca + self.ask_a(ca, *[torch.cat([ca, pb], 1)] * 2)[0]
        cb = cb + self.ask_b(cb, *[torch.cat([cb, pa], 1)] * 2)[0]
        return self.fc_a(ca[:, 0]) + self.fc_b(cb[:, 0])


class ClassAttention(nn.Module):
    """CaiT: the class token comes late, and it alone asks."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.block, self.cls_token = (
            Patches(dim, patch_size),
            Block(dim, heads),
            nn.Parameter(torch.randn(1, 1, dim)),
        )
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.block(self.patch(img))
        cls = self.cls_token.expand(len(x), -1, -1)
        u = self.norm(torch.cat([cls, x], 1))
        q = rearrange(self.q(u[:, :1]), "b n (h d) -> b h n d", h=self.heads)
        k, v = rearrange(self.kv(u), "b n (t h d) -> t b h n d", t=2, h=self.heads)
        cls = cls + self.out(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))
        return self.fc(torch.cat([cls, x], 1)[:, 0])


class RegistersAtEnd(nn.Module):
    """Registers stand last and are cut off."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, registers=3, num_classes=10):
        super().__init__()
        self.patch, self.blocks = Patches(dim, patch_size), nn.Sequential(Block(dim, heads), Block(dim, heads))
        self.cls_token, self.registers = nn.Parameter(torch.randn(dim)), nn.Parameter(torch.randn(registers, dim))
        self.fc = nn.Linear(2 * dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        b = len(x)
        x, shapes = pack(
            [repeat(self.cls_token, "d -> b 1 d", b=b), x, repeat(self.registers, "r d -> b r d", b=b)], "b * d"
        )
        cls, patches, _ = unpack(self.blocks(x), shapes, "b * d")
        return self.fc(torch.cat([cls[:, 0], patches.mean(1)], -1))


class ConditionalPositions(nn.Module):
    """CPVT: positions by a convolution; the class token goes round it."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.one, self.two = Patches(dim, patch_size), Block(dim, heads), Block(dim, heads)
        self.cls_token, self.peg = nn.Parameter(torch.randn(1, 1, dim)), nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        h = img.shape[2] // 4
        x = self.one(torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1))
        cls, x = x[:, :1], x[:, 1:]
        m = x.transpose(1, 2).reshape(x.shape[0], x.shape[2], h, -1)
        x = (self.peg(m) + m).flatten(2).transpose(1, 2)
        return self.fc(self.two(torch.cat([cls, x], 1))[:, 0])


class CoordinatePositions(nn.Module):
    """Positions by an MLP of coordinates."""

    def __init__(self, image_size=(32, 48), patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj, self.mlp = (
            nn.Conv2d(3, dim, patch_size, patch_size),
            nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, dim)),
        )
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        m = self.proj(img)
        h, w = m.shape[2:]
        grid = torch.stack(torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij"), -1)
        x = m.flatten(2).transpose(1, 2) + self.mlp(grid).flatten(0, 1)
        return self.fc(self.block(x).mean(1))


class RowsAndColumns(nn.Module):
    """DETR's learned tables: half of the features for columns, half for rows."""

    def __init__(self, image_size=(32, 48), patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.row, self.col = nn.Embedding(50, dim // 2), nn.Embedding(50, dim // 2)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        m = self.proj(img)
        h, w = m.shape[-2:]
        x_emb, y_emb = self.col(torch.arange(w)), self.row(torch.arange(h))
        pos = torch.cat([x_emb.unsqueeze(0).repeat(h, 1, 1), y_emb.unsqueeze(1).repeat(1, w, 1)], dim=-1)
        pos = pos.permute(2, 0, 1).unsqueeze(0).repeat(len(m), 1, 1, 1)
        x = (m + pos).flatten(2).transpose(1, 2)
        return self.fc(self.block(x).mean(1))


class ChannelTokens(nn.Module):
    """ChannelViT: each channel has tokens and an embedding of its own."""

    def __init__(self, image_size=32, patch_size=8, channels=3, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj = nn.Conv3d(1, dim, (1, patch_size, patch_size), (1, patch_size, patch_size))
        self.channel = nn.Parameter(torch.randn(1, dim, channels, 1, 1))
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.proj(img.unsqueeze(1)) + self.channel
        x = rearrange(x, "b d c h w -> b c (h w) d") + self.pos
        return self.fc(self.block(rearrange(x, "b c n d -> b (c n) d")).mean(1))


class Spectral(nn.Module):
    """Hyperspectral: groups of bands are tokens, and each has its table."""

    def __init__(self, bands=12, group=4, image_size=16, patch_size=4, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.group, self.p = group, patch_size
        self.embed = nn.ModuleList(nn.Linear(group * patch_size**2, dim) for _ in range(bands // group))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, cube):
        x = rearrange(cube, "b (g c) (h p) (w q) -> g b (h w) (c p q)", c=self.group, p=self.p, q=self.p)
        x = torch.cat([f(one) for f, one in zip(self.embed, x)], dim=1)
        return self.fc(self.block(x).mean(1))


class UVit(nn.Module):
    """Diffusion: a time token, long skips, and the image back again."""

    def __init__(self, image_size=16, patch_size=4, dim=48, heads=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.p = patch_size
        self.patch, self.time = Patches(dim, patch_size), Mlp(dim, dim)
        self.pos = nn.Parameter(torch.randn(1, n + 1, dim))
        self.down, self.mid, self.up = Block(dim, heads), Block(dim, heads), Block(dim, heads)
        self.skip, self.out = nn.Linear(2 * dim, dim), nn.Linear(dim, 3 * patch_size**2)
        self.last = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, img, t):
        half = self.pos.shape[-1] // 2
        freqs = torch.exp(-math.log(10000) * torch.arange(half) / half)
        args = t[:, None].float() * freqs
        time = self.time(torch.cat([args.cos(), args.sin()], -1)).unsqueeze(1)
        x = torch.cat([time, self.patch(img)], 1) + self.pos
        a = self.down(x)
        x = self.up(self.skip(torch.cat([self.mid(a), a], -1)))
        x = self.out(x)[:, 1:]
        h = img.shape[2] // self.p
        return self.last(rearrange(x, "b (h w) (c p q) -> b c (h p) (w q)", h=h, p=self.p, q=self.p))


class AdaLn(nn.Module):
    """DiT: six vectors for each image shift, scale and gate all tokens."""

    def __init__(self, image_size=16, patch_size=4, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.p = patch_size
        self.patch, self.label = Patches(dim, patch_size), nn.Embedding(num_classes + 1, dim)
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.attn, self.mlp, self.out = SelfAttention(dim, heads), Mlp(dim, 2 * dim), nn.Linear(dim, 3 * patch_size**2)

    def forward(self, img, y):
        x = self.patch(img)
        s1, b1, g1, s2, b2, g2 = self.ada(self.label(y))[:, None].chunk(6, dim=-1)
        x = x + g1 * self.attn(self.norm(x) * (1 + s1) + b1)
        x = x + g2 * self.mlp(self.norm(x) * (1 + s2) + b2)
        h = w = int(x.shape[1] ** 0.5)
        x = self.out(x).reshape(len(x), h, w, self.p, self.p, 3)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(len(x), 3, h * self.p, w * self.p)


class Volume(nn.Module):
    """A volume: patches in three directions, back by a transposed convolution."""

    def __init__(self, image_size=16, patch_size=4, dim=48, heads=4, num_classes=3):
        super().__init__()
        self.proj = nn.Conv3d(1, dim, patch_size, patch_size)
        self.block, self.up = Block(dim, heads), nn.ConvTranspose3d(dim, num_classes, patch_size, patch_size)

    def forward(self, volume):
        m = self.proj(volume)
        x = self.block(m.flatten(2).transpose(1, 2))
        return self.up(x.transpose(1, 2).reshape_as(m))


class Overlapping(nn.Module):
    """Patches that overlap, with their own norm, as in PVT v2."""

    def __init__(self, image_size=32, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, dim, 7, stride=4, padding=3), nn.LayerNorm(dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        return self.fc(self.block(self.norm(self.proj(img).flatten(2).mT)).mean(1))


class DiceLoss(nn.Module):
    """Masks of the same shape; the sums are of each image."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block, self.up = (
            Patches(dim, patch_size),
            Block(dim, heads),
            nn.ConvTranspose2d(dim, 1, patch_size, patch_size),
        )

    def forward(self, img, mask):
        x = self.block(self.patch(img)).transpose(1, 2).unflatten(2, (img.shape[2] // 8, -1))
        prob = self.up(x).squeeze(1).sigmoid()
        overlap = (prob * mask).sum((1, 2))
        return (1 - 2 * overlap / (prob.sum((1, 2)) + mask.sum((1, 2)) + 1)).mean()


class OrdinalLoss(nn.Module):
    """CORAL: is the rank larger than each threshold?"""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, ranks=6):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, 1)
        self.thresholds = nn.Parameter(torch.arange(ranks - 1.0))

    def forward(self, img, rank):
        logits = self.fc(self.block(self.patch(img)).mean(1)) - self.thresholds
        levels = (rank[:, None] > torch.arange(logits.shape[1])).float()
        return F.binary_cross_entropy_with_logits(logits, levels), logits


class Prototypes(nn.Module):
    """Distances of each image to each prototype."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, prototypes=11):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.prototypes = nn.Parameter(torch.randn(prototypes, dim))

    def forward(self, img):
        z = self.block(self.patch(img)).mean(1)
        return -(z[:, None] - self.prototypes[None]).pow(2).sum(-1)


class Mixup(nn.Module):
    """Images are mixed in training only."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        if self.training:
            img = 0.7 * img + 0.3 * img.flip(0)
        return self.fc(self.block(self.patch(img)).mean(1))


class PackedFrames(nn.Module):
    """Frames times patches, with two tables that are spread over them."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.time = nn.Parameter(torch.randn(1, frames, dim))
        self.space = nn.Parameter(torch.randn(1, n, dim))

    def forward(self, clip):
        B, T = clip.shape[:2]
        x = self.patch(clip.flatten(0, 1))
        N = x.shape[1]
        x = x.reshape(B, T * N, -1)
        x = x + self.time.repeat_interleave(N, dim=1) + self.space.repeat(1, T, 1)
        return self.fc(self.block(x).mean(1))


class LocalSelfMask(nn.Module):
    """LSA: tokens do not attend to themselves."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        return self.fc(self.block(x, mask=~torch.eye(x.shape[1], dtype=torch.bool)).mean(1))


class SinkhornAttention(nn.Module):
    """Weights that sum to one both ways."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        log = q @ k.mT / math.sqrt(q.shape[-1])
        for _ in range(3):
            log = log - log.logsumexp(-2, keepdim=True)
            log = log - log.logsumexp(-1, keepdim=True)
        return self.fc((x + self.proj(rearrange(log.exp() @ v, "b h n d -> b n (h d)"))).mean(1))


class GatedPool(nn.Module):
    """Multiple instances: gated scores for each token, softmax over tokens."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.v, self.u, self.w, self.fc = (
            nn.Linear(dim, 16),
            nn.Linear(dim, 16),
            nn.Linear(16, 1),
            nn.Linear(dim, num_classes),
        )

    def forward(self, img):
        x = self.block(self.patch(img))
        a = self.w(torch.tanh(self.v(x)) * torch.sigmoid(self.u(x))).softmax(1)
        return self.fc(torch.bmm(a.transpose(1, 2), x).squeeze(1))


class HeadsAsTokens(nn.Module):
    """Each head's part of a token is a token of its own."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.norm = Patches(dim, patch_size), nn.LayerNorm(dim // heads)
        self.block, self.fc = Block(dim // heads, 2), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        y = self.block(self.norm(rearrange(x, "b n (h d) -> b (n h) d", h=self.heads)))
        return self.fc((x + rearrange(y, "b (n h) d -> b n (h d)", h=self.heads)).mean(1))


class LowRankLatent(nn.Module):
    """One latent for the image; positions ask it back: an autoencoder."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.p = patch_size
        self.patch, self.encoder, self.decoder = Patches(dim, patch_size), Block(dim, heads), Block(dim, heads)
        self.pos = nn.Parameter(torch.randn(1, n, dim))
        self.out = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, img):
        z = self.encoder(self.patch(img) + self.pos).mean(1, keepdim=True)
        x = self.out(self.decoder(z + self.pos))
        return rearrange(x, "b (h w) (p q c) -> b c (h p) (w q)", h=img.shape[2] // self.p, p=self.p, q=self.p)


class AspPool(nn.Module):
    """A pooled branch is added to every place."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.proj, self.block = nn.Conv2d(3, dim, patch_size, patch_size), Block(dim, heads)
        self.local, self.whole, self.head = (
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.Conv2d(dim, dim, 1),
            nn.Conv2d(dim, num_classes, 1),
        )

    def forward(self, img):
        m = self.proj(img)
        x = self.block(m.flatten(2).mT).mT.reshape(m.shape)
        x = F.relu(self.local(x)) + F.relu(self.whole(x.mean((2, 3), keepdim=True)))
        return F.interpolate(self.head(x), scale_factor=4)


class Memory(nn.Module):
    """A queue of features is a buffer: MoCo without its update."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, size=20):
        super().__init__()
        self.q, self.k = (nn.Sequential(Patches(dim, patch_size), Block(dim, heads)) for _ in range(2))
        self.k.requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(dim, size), dim=0))

    def forward(self, one, two):
        q = F.normalize(self.q(one).mean(1), dim=1)
        with torch.no_grad():
            k = F.normalize(self.k(two).mean(1), dim=1)
        logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ self.queue], dim=1) / 0.07
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


INPUTS = {
    "TemporalShift": ["clip=2x4x3x32x32"],
    "MaskHeads": ["x=3x3x32x32", "keep=3x16:bool"],
    "TwoTowers": ["img=2x3x32x32", "ids=2x9:int64"],
    "PairLogits": ["img=2x3x32x32", "ids=2x9:int64"],
    "Tubelets": ["clip=2x3x4x32x32"],
    "TubeletsFixed": ["clip=2x4x3x32x32"],
    "ChannelsLast": ["img=2x32x32x3"],
    "SpanScores": ["clip=2x5x3x32x32"],
    "Byol": ["one=2x3x32x32", "two=2x3x32x32"],
    "SimClr": ["one=4x3x32x32", "two=4x3x32x32"],
    "VicReg": ["one=4x3x32x32", "two=4x3x32x32"],
    "Dino": ["one=2x3x32x32", "two=2x3x32x32"],
    "Siamese": ["before=2x3x32x32", "after=2x3x32x32"],
    "Correlation": ["one=2x3x32x32", "two=2x3x32x32"],
    "Spectral": ["cube=2x12x16x16"],
    "UVit": ["img=2x3x16x16", "t=2:int64"],
    "AdaLn": ["img=2x3x16x16", "y=2:int64"],
    "Volume": ["volume=2x1x16x16x16"],
    "DiceLoss": ["img=3x3x32x32", "mask=3x32x32"],
    "OrdinalLoss": ["img=3x3x32x32", "rank=3:int64"],
    "PackedFrames": ["clip=2x4x3x32x32"],
    "Memory": ["one=2x3x32x32", "two=2x3x32x32"],
}
PARTS = {"Patches", "Mlp", "SelfAttention", "Block"}
