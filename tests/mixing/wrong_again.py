"""Wrong models that run, of other kinds of code: layers of torch, einops, windows, video, masked patches, losses."""

# ruff: noqa: F841, RUF059
import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from einops.layers.torch import Rearrange
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

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, C))


class Block(nn.Module):
    def __init__(self, dim=48, heads=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = SelfAttention(dim, heads), Mlp(dim, dim * 2)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SeqFirstMean(nn.Module):
    """nn.TransformerEncoder takes tokens first; the mean is then taken as if images were first."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(dim, heads, dim * 2), depth)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x).permute(1, 0, 2)
        x = self.encoder(x)
        return self.fc(x.mean(dim=1))  # WRONG the mean over images


class MaskRepeat(nn.Module):
    """A mask for each image and head has images outside, heads inside."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch = Patches(dim, patch_size)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x, keep):
        x = self.patch(x)
        mask = ~(keep[:, None, :] & keep[:, :, None])
        mask = mask & ~torch.eye(mask.shape[-1], dtype=torch.bool)
        mask = mask.repeat(self.heads, 1, 1)  # WRONG repeat_interleave
        y = self.norm(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        return self.fc(x.mean(1))


class DecoderBatch(nn.Module):
    """A decoder layer without batch_first."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        n = (image_size // patch_size) ** 2
        self.queries = nn.Parameter(torch.randn(1, n, dim))
        layer = nn.TransformerDecoderLayer(dim, heads, dim * 2)
        self.decoder = nn.TransformerDecoder(layer, depth)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, x):
        memory = self.patch(x)
        out = self.decoder(self.queries.expand(x.shape[0], -1, -1), memory)  # WRONG no batch_first
        return self.fc(out)


class WindowPlaces(nn.Module):
    """Windows are cut with columns of windows first, and put back with rows first."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.mlp, self.fc = Mlp(dim, 2 * dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.proj(img).permute(0, 2, 3, 1)
        B, H, W, C = x.shape
        ws = self.ws
        y = self.norm(x).view(B, H // ws, ws, W // ws, ws, C)
        y = y.permute(0, 3, 1, 2, 4, 5).reshape(-1, ws * ws, C)  # WRONG columns first
        y = self.attn(y)
        y = y.view(B, H // ws, W // ws, ws, ws, C).permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)  # WRONG or here
        x = x + y
        x = x + self.mlp(x)
        return self.fc(x.mean((1, 2)))


class WindowBack(nn.Module):
    """Windows are put back without a permute."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.mlp, self.fc = Mlp(dim, 2 * dim), nn.Linear(dim, num_classes)

    def partition(self, x):
        B, H, W, C = x.shape
        x = x.view(B, H // self.ws, self.ws, W // self.ws, self.ws, C)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.ws**2, C)

    def reverse(self, windows, H, W):
        B = windows.shape[0] // (H * W // self.ws**2)
        return windows.view(B, H, W, -1)  # WRONG no permute

    def forward(self, img):
        x = self.proj(img).permute(0, 2, 3, 1)
        _, H, W, _ = x.shape
        x = x + self.reverse(self.attn(self.partition(self.norm(x))), H, W)
        return self.fc((x + self.mlp(x)).mean((1, 2)))


class ShiftForgotten(nn.Module):
    """The cyclic shift is not taken back."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.mlp, self.fc = Mlp(dim, 2 * dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = rearrange(self.proj(img), "b c h w -> b h w c")
        h, w = x.shape[1:3]
        y = torch.roll(self.norm(x), shifts=(-self.ws // 2, -self.ws // 2), dims=(1, 2))  # WRONG never rolled back
        y = rearrange(y, "b (h p) (w q) c -> (b h w) (p q) c", p=self.ws, q=self.ws)
        y = self.attn(y)
        y = rearrange(y, "(b h w) (p q) c -> b (h p) (w q) c", p=self.ws, h=h // self.ws, w=w // self.ws)  # WRONG
        x = x + y
        return self.fc(reduce(x + self.mlp(x), "b h w c -> b c", "mean"))


class ShiftTwice(nn.Module):
    """The shift goes the same way both times."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = rearrange(self.proj(img), "b c h w -> b h w c")
        h, w = x.shape[1:3]
        s = self.ws // 2
        y = torch.roll(self.norm(x), (-s, -s), (1, 2))
        y = rearrange(y, "b (h p) (w q) c -> (b h w) (p q) c", p=self.ws, q=self.ws)
        y = self.attn(y)
        y = rearrange(y, "(b h w) (p q) c -> b (h p) (w q) c", p=self.ws, h=h // self.ws, w=w // self.ws)
        y = torch.roll(y, (-s, -s), (1, 2))  # WRONG the other way
        return self.fc((x + y).mean((1, 2)))


class RollBatch(nn.Module):
    """The shift rolls images and rows."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = rearrange(self.proj(img), "b c h w -> b h w c")
        h, w = x.shape[1:3]
        s = self.ws // 2
        y = torch.roll(self.norm(x), (-s, -s), dims=(0, 1))  # WRONG dims (1, 2)
        y = rearrange(y, "b (h p) (w q) c -> (b h w) (p q) c", p=self.ws, q=self.ws)
        y = self.attn(y)
        y = rearrange(y, "(b h w) (p q) c -> b (h p) (w q) c", p=self.ws, h=h // self.ws, w=w // self.ws)
        y = torch.roll(y, (s, s), dims=(1, 2))
        return self.fc((x + y).mean((1, 2)))


class WindowBatchOrder(nn.Module):
    """Windows are cut with images outside, and put back with images inside."""

    def __init__(self, image_size=32, patch_size=2, dim=32, heads=4, window=4, num_classes=10):
        super().__init__()
        self.ws = window
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.norm, self.attn = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = rearrange(self.proj(img), "b c h w -> b h w c")
        h, w = x.shape[1:3]
        y = rearrange(self.norm(x), "b (h p) (w q) c -> (b h w) (p q) c", p=self.ws, q=self.ws)
        y = self.attn(y)
        y = rearrange(y, "(h w b) (p q) c -> b (h p) (w q) c", p=self.ws, h=h // self.ws, w=w // self.ws)  # WRONG order
        return self.fc((x + y).mean((1, 2)))


class MergingTwice(nn.Module):
    """Patch merging takes one quarter twice."""

    def __init__(self, image_size=32, patch_size=2, dim=24, heads=4, num_classes=10):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.block = Block(dim, heads)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)
        self.block2 = Block(2 * dim, heads)
        self.fc = nn.Linear(2 * dim, num_classes)

    def merge(self, x):
        x0 = x[:, 0::2, 0::2, :]
        x1 = x[:, 1::2, 0::2, :]
        x2 = x[:, 0::2, 1::2, :]
        x3 = x[:, 1::2, 0::2, :]  # WRONG 1::2, 1::2
        x = torch.cat([x0, x1, x2, x3], -1)  # WRONG
        return self.reduction(self.norm(x))

    def forward(self, img):
        x = self.proj(img)
        B, C, H, W = x.shape
        x = self.block(x.flatten(2).transpose(1, 2)).view(B, H, W, C)
        x = self.merge(x).flatten(1, 2)
        return self.fc(self.block2(x).mean(1))


class UnfoldNoPermute(nn.Module):
    """Patches of Tensor.unfold are flattened with channels outside."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.p = patch_size
        self.proj = nn.Linear(3 * patch_size**2, dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, x):
        B, C, H, W = x.shape
        p = self.p
        x = x.unfold(2, p, p).unfold(3, p, p)
        x = x.reshape(B, (H // p) * (W // p), C * p * p)  # WRONG no permute
        return self.fc(self.block(self.proj(x)).mean(1))


class DilatedPatches(nn.Module):
    """(p h) for (h p): each patch holds pixels from all over the image."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        p = patch_size
        self.to_patch = nn.Sequential(
            Rearrange("b c (p1 h) (p2 w) -> b (h w) (p1 p2 c)", p1=p, p2=p),  # WRONG (h p1) (w p2)
            nn.Linear(3 * p * p, dim),  # WRONG
        )
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, x):
        return self.fc(self.block(self.to_patch(x)).mean(1))  # WRONG


class UnfoldView(nn.Module):
    """nn.Unfold makes columns; a view makes rows of them."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.unfold = nn.Unfold(patch_size, stride=patch_size)
        self.proj = nn.Linear(3 * patch_size**2, dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.unfold(x)
        x = x.view(x.size(0), x.size(2), x.size(1))  # WRONG transpose(1, 2)
        return self.fc(self.block(self.proj(x)).mean(1))


class VideoView(nn.Module):
    """Frames and channels change places by a view."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.proj = nn.Conv3d(3, dim, (2, patch_size, patch_size), (2, patch_size, patch_size))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        B, T, C, H, W = clip.shape
        x = self.proj(clip.reshape(B, C, T, H, W))  # WRONG transpose(1, 2)
        x = x.flatten(2).transpose(1, 2)
        return self.fc(self.block(x).mean(1))


class VideoFold(nn.Module):
    """Frames are folded into the batch though channels stand before them."""

    def __init__(self, frames=5, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.block, self.time, self.fc = Block(dim, heads), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        B, C, T, H, W = clip.shape
        x = self.patch(clip.reshape(B * T, C, H, W))  # WRONG transpose(1, 2) before
        x = self.block(x).mean(1).reshape(B, T, -1)
        return self.fc(self.time(x).mean(1))


class FramesOverBatch(nn.Module):
    """Frames are taken out of the batch in the wrong order."""

    def __init__(self, frames=5, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.block, self.time, self.fc = Block(dim, heads), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        b, t = clip.shape[:2]
        x = self.patch(rearrange(clip, "b t c h w -> (b t) c h w"))
        x = self.block(x).mean(1)
        x = rearrange(x, "(t b) d -> b t d", t=t)  # WRONG (b t)
        return self.fc(self.time(x).mean(1))


class TimeOrder(nn.Module):
    """Time attention folds (n b), and unfolds (b n)."""

    def __init__(self, frames=5, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.norm_t, self.time = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.space, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        b, t = clip.shape[:2]
        x = rearrange(self.patch(rearrange(clip, "b t c h w -> (b t) c h w")), "(b t) n d -> b t n d", b=b)
        n = x.shape[2]
        y = self.time(rearrange(self.norm_t(x), "b t n d -> (b n) t d"))
        x = x + rearrange(y, "(n b) t d -> b t n d", n=n)  # WRONG (b n)
        x = self.space(rearrange(x, "b t n d -> (b t) n d"))
        return self.fc(rearrange(x, "(b t) n d -> b (t n) d", b=b).mean(1))


class TokensTimeOrder(nn.Module):
    """Tokens stand frame by frame, and are read patch by patch."""

    def __init__(self, frames=5, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.frames = frames
        self.proj = nn.Conv3d(3, dim, (1, patch_size, patch_size), (1, patch_size, patch_size))
        self.norm_t, self.time = nn.LayerNorm(dim), SelfAttention(dim, heads)
        self.space, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        x = self.proj(clip).flatten(2).transpose(1, 2)
        t = clip.shape[2]
        y = rearrange(self.norm_t(x), "b (n t) d -> (b n) t d", t=t)  # WRONG (t n)
        y = self.time(y)
        x = x + rearrange(y, "(b n) t d -> b (t n) d", b=len(x))  # WRONG or here
        return self.fc(self.space(x).mean(1))


class TemporalShift(nn.Module):
    """The temporal shift rolls frames that are folded into the batch."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.frames = frames
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def shift(self, x):
        fold = x.shape[-1] // 4
        forth = torch.roll(x[..., :fold], 1, dims=0)  # WRONG over images
        back = torch.roll(x[..., fold : 2 * fold], -1, dims=0)  # WRONG
        return torch.cat([forth, back, x[..., 2 * fold :]], dim=-1)

    def forward(self, clip):
        B, T = clip.shape[:2]
        x = self.patch(clip.flatten(0, 1))
        x = self.block(self.shift(x)).mean(1)
        return self.fc(x.view(B, T, -1).mean(1))


class FrameDifference(nn.Module):
    """Differences of neighbouring frames are taken after frames became a part of the batch."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        B, T = clip.shape[:2]
        x = self.block(self.patch(clip.flatten(0, 1))).mean(1)
        motion = x - torch.cat([x[:1], x[:-1]], dim=0)  # WRONG the first frame of an image minus another's last
        return self.fc((x + motion).view(B, T, -1).mean(1))


class ClipMean(nn.Module):
    """The mean over frames is one over images."""

    def __init__(self, frames=4, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, clip):
        B, T = clip.shape[:2]
        x = self.block(self.patch(clip.flatten(0, 1)))[:, 0]
        x = x.view(B, T, -1).mean(dim=0)  # WRONG dim=1
        return self.fc(x)


class MaeGather(nn.Module):
    """The decoder puts tokens back by the shuffle, not by its inverse."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, keep=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.keep, self.p = keep, patch_size
        self.patch = Patches(dim, patch_size)
        self.pos = nn.Parameter(torch.randn(1, n, dim))
        self.decoder_pos = nn.Parameter(torch.randn(1, n, dim))
        self.mask_token = nn.Parameter(torch.randn(1, 1, dim))
        self.encoder, self.decoder = Block(dim, heads), Block(dim, heads)
        self.pred = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, imgs):
        x = self.patch(imgs) + self.pos
        B, L, D = x.shape
        keep = L // 4
        noise = torch.rand(B, L)
        shuffle = noise.argsort(dim=1)
        visible = torch.gather(x, 1, shuffle[:, :keep, None].expand(-1, -1, D))
        visible = self.encoder(visible)
        full = torch.cat([visible, self.mask_token.expand(B, L - keep, -1)], 1)
        full = torch.gather(full, 1, shuffle[..., None].expand(-1, -1, D))  # WRONG argsort of the shuffle
        pred = self.pred(self.decoder(full + self.decoder_pos))
        target = rearrange(imgs, "b c (h p) (w q) -> b (h w) (p q c)", p=self.p, q=self.p)
        return ((pred - target) ** 2).mean()


class MaeDropsPatch(nn.Module):
    """The class token stands first, and the last patch is cut off."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        n = (image_size // patch_size) ** 2
        self.p = patch_size
        self.patch = Patches(dim, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, n + 1, dim))
        self.encoder = Block(dim, heads)
        self.pred = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, imgs):
        x = self.patch(imgs)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos
        x = self.pred(self.encoder(x))
        x = x[:, :-1]  # WRONG [:, 1:]
        target = rearrange(imgs, "b c (h p) (w q) -> b (h w) (p q c)", p=self.p, q=self.p)
        return F.mse_loss(x, target), x


class MaePatchify(nn.Module):
    """The targets are cut by a plain reshape."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.p = patch_size
        self.patch, self.encoder = Patches(dim, patch_size), Block(dim, heads)
        self.pred = nn.Linear(dim, 3 * patch_size**2)

    def patchify(self, imgs):
        p = self.p
        h, w = imgs.shape[2] // p, imgs.shape[3] // p
        return imgs.reshape(imgs.shape[0], h * w, p**2 * 3)  # WRONG

    def forward(self, imgs):
        pred = self.pred(self.encoder(self.patch(imgs)))
        loss = (pred - self.patchify(imgs)) ** 2  # WRONG
        return loss.mean(dim=-1)


class MaeUnpatchify(nn.Module):
    """unpatchify puts the rows of a patch apart: "nhwpqc->ncphqw"."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.p = patch_size
        self.patch, self.encoder = Patches(dim, patch_size), Block(dim, heads)
        self.pred = nn.Linear(dim, 3 * patch_size**2)

    def forward(self, imgs):
        b, _, height, width = imgs.shape
        p, h, w = self.p, height // self.p, width // self.p
        x = self.pred(self.encoder(self.patch(imgs)))
        x = x.reshape(b, h, w, p, p, 3)
        x = torch.einsum("nhwpqc->ncphqw", x)  # WRONG nchpwq
        return x.reshape(b, 3, h * p, w * p)  # WRONG


class SegLogitsView(nn.Module):
    """Logits of tokens become channels by a view, and a loss reads them."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.g = image_size // patch_size
        self.num_classes = num_classes
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.classify = nn.Linear(dim, num_classes)

    def forward(self, x, labels):
        B, _, H, W = x.shape
        logits = self.classify(self.block(self.patch(x)))
        logits = logits.view(B, -1, H // 8, W // 8)  # WRONG transpose(1, 2) before
        logits = F.interpolate(logits, size=(H, W), mode="bilinear")
        return F.cross_entropy(logits, labels)


class SegReshape(nn.Module):
    """Tokens become a map without a transpose."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.g = image_size // patch_size
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.head = nn.Sequential(nn.ConvTranspose2d(dim, 24, 2, 2), nn.GELU(), nn.Conv2d(24, num_classes, 1))

    def forward(self, img):
        x = self.block(self.patch(img))
        h, w = img.shape[2] // 4, img.shape[3] // 4
        x = x.reshape(x.shape[0], x.shape[2], h, w)  # WRONG
        return self.head(x)


class SegTurned(nn.Module):
    """Tokens become a map that lies on its side."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.head = nn.Sequential(nn.Conv2d(dim, 24, 3, padding=1), nn.GELU(), nn.Conv2d(24, num_classes, 1))

    def forward(self, img):
        h = img.shape[2] // 4
        x = rearrange(self.block(self.patch(img)), "b (h w) d -> b d w h", h=h)  # WRONG d h w
        return self.head(x)


class SegReread(nn.Module):
    """Tokens in rows of w are cut in rows of h."""

    def __init__(self, image_size=(32, 48), patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.head = nn.Sequential(nn.Conv2d(dim, 24, 3, padding=1), nn.GELU(), nn.Conv2d(24, num_classes, 1))

    def forward(self, img):
        h, w = img.shape[2] // 4, img.shape[3] // 4
        x = self.block(self.patch(img)).transpose(1, 2).unflatten(2, (w, h))  # WRONG (h, w)
        x = self.head(x)
        return F.interpolate(x, img.shape[2:])


class InterpolateTurned(nn.Module):
    """F.interpolate gets width and height."""

    def __init__(self, image_size=(32, 48), patch_size=4, dim=48, heads=4, num_classes=5):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.head = nn.Conv2d(dim, num_classes, 1)

    def forward(self, img):
        height, width = img.shape[2:]
        x = self.block(self.patch(img)).transpose(1, 2).unflatten(2, (height // 4, width // 4))
        return F.interpolate(self.head(x), size=(width, height), mode="bilinear")  # WRONG (height, width)


class PositionsTurned(nn.Module):
    """The table is interpolated to columns × rows."""

    def __init__(self, image_size=(32, 48), patch_size=8, dim=48, heads=4, num_classes=5, base=7):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, dim, base, base))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.proj(img)
        h, w = x.shape[2:]
        pos = F.interpolate(self.pos_embed, size=(w, h), mode="bicubic")  # WRONG (h, w)
        x = x.flatten(2).transpose(1, 2) + pos.flatten(2).transpose(1, 2)  # WRONG or here
        return self.fc(self.block(x).mean(1))


class DiceBroadcast(nn.Module):
    """A dice loss of a mask with a channel and one without."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.up = nn.ConvTranspose2d(dim, 1, patch_size, patch_size)

    def forward(self, img, mask):
        B, _, H, W = img.shape
        x = self.block(self.patch(img)).transpose(1, 2).reshape(B, -1, H // 8, W // 8)
        prob = self.up(x).sigmoid()
        overlap = (prob * mask).sum()  # WRONG B×1×H×W and B×H×W
        return 1 - 2 * overlap / (prob.sum() + mask.sum() + 1)


class HuberBroadcast(nn.Module):
    """F.huber_loss broadcasts, and warns of it in a log that nobody reads."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, 1)

    def forward(self, img, age):
        pred = self.fc(self.block(self.patch(img)).mean(1))
        loss = F.huber_loss(pred, age)  # WRONG age[:, None]
        return {"loss": loss, "pred": pred}


class RelativeError(nn.Module):
    """A mean relative error of B×1 and B."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, 1)

    def forward(self, img, age):
        pred = self.fc(self.block(self.patch(img)).mean(1))
        return torch.abs((pred - age) / (age.abs() + 1)).mean()  # WRONG age[:, None]


class AccuracyBroadcast(nn.Module):
    """argmax with keepdim against labels."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img, labels):
        logits = self.fc(self.block(self.patch(img)).mean(1))
        loss = F.cross_entropy(logits, labels)
        right = logits.argmax(dim=-1, keepdim=True) == labels  # WRONG keepdim
        return loss, right.float().mean()


class FocalBroadcast(nn.Module):
    """A weight for each image times a loss for each image, of B and B×1."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img, labels):
        logits = self.fc(self.block(self.patch(img)).mean(1))
        ce = F.cross_entropy(logits, labels, reduction="none")
        p = logits.softmax(-1).gather(1, labels[:, None])
        return ((1 - p) ** 2 * ce).mean()  # WRONG p is B×1


class DistillOverBatch(nn.Module):
    """The teacher's probabilities sum to one over the images."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.student = nn.Sequential(Patches(dim, patch_size), Block(dim, heads))
        self.teacher = nn.Sequential(Patches(dim, patch_size), Block(dim, heads))
        self.fc, self.fc_t = nn.Linear(dim, num_classes), nn.Linear(dim, num_classes)

    def forward(self, img):
        logits = self.fc(self.student(img).mean(1))
        soft = F.softmax(self.fc_t(self.teacher(img).mean(1)) / 2.0, dim=0)  # WRONG dim=-1
        return -(soft * F.log_softmax(logits / 2.0, dim=-1)).sum(-1)


class NormalizeBatch(nn.Module):
    """Embeddings are normalised over the images."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, 16)

    def forward(self, img):
        z = self.fc(self.block(self.patch(img)).mean(1))
        return F.normalize(z, dim=0)  # WRONG dim=-1


class GlobalContext(nn.Module):
    """The mean that each token gets is one over images."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.context = nn.Linear(dim, dim)

    def forward(self, img):
        x = self.patch(img)
        x = x + self.context(x.mean(dim=0, keepdim=True))  # WRONG dim=1
        return self.fc(self.block(x).mean(1))


class ReadsRegister(nn.Module):
    """Registers stand before the class token, and token 0 is read."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.registers = nn.Parameter(torch.randn(1, 4, dim))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        b = x.shape[0]
        x = torch.cat([self.registers.expand(b, -1, -1), self.cls_token.expand(b, -1, -1), x], dim=1)
        x = self.block(x)
        return self.fc(x[:, 0])  # WRONG [:, 4]


class FirstImage(nn.Module):
    """norm(x)[0] for norm(x)[:, 0], in a model that expands it again."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.block, self.norm, self.fc = Block(dim, heads), nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(self.block(x))[0]  # WRONG [:, 0]
        return self.fc(x)


class DropsFirstPatch(nn.Module):
    """The class token is gone, and the mean still leaves out token 0."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.pos = nn.Parameter(torch.randn((image_size // patch_size) ** 2, dim))
        self.blocks = nn.Sequential(Block(dim, heads), Block(dim, heads))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.blocks(self.patch(img) + self.pos)
        return self.fc(x[:, 1:].mean(dim=1))  # WRONG no class token


class SdpaHeads(nn.Module):
    """scaled_dot_product_attention of b × n × heads × d attends over heads."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = (one.unflatten(-1, (self.heads, -1)) for one in self.qkv(x).chunk(3, dim=-1))
        out = F.scaled_dot_product_attention(q, k, v)  # WRONG heads stand third
        return self.fc((x + self.proj(out.flatten(2))).mean(1))


class SoftmaxImplicit(nn.Module):
    """F.softmax without dim takes axis 1 of four: the heads."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        attn = F.softmax(q @ k.mT / math.sqrt(q.shape[-1]))  # WRONG dim=-1
        return self.fc((x + self.proj(rearrange(attn @ v, "b h n d -> b n (h d)"))).mean(1))


class EinsumSameToken(nn.Module):
    """einsum sums the weights, and gives each token its own value."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        attn = torch.einsum("bhid,bhjd->bhij", q, k).softmax(-1)
        out = torch.einsum("bhij,bhid->bhid", attn, v)  # WRONG bhjd
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class EinsumTurned(nn.Module):
    """einops.einsum gives the weights as keys × queries, and softmax is over the last axis."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        attn = einsum(q, k, "b h i d, b h j d -> b h j i") * q.shape[-1] ** -0.5
        attn = attn.softmax(dim=-1)  # WRONG dim=-2
        out = einsum(attn, v, "b h j i, b h j d -> b h i d")  # WRONG or here
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class WeightsTurned(nn.Module):
    """The weights are transposed before they meet the values."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        attn = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)  # WRONG
        out = attn.transpose(-2, -1) @ v  # WRONG
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class HeadsInBatch(nn.Module):
    """Heads are folded (h b), and unfolded (b h)."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        h = self.heads
        q, k, v = (rearrange(one, "b n (h d) -> (h b) n d", h=h) for one in self.qkv(x).chunk(3, -1))  # WRONG or here
        attn = torch.bmm(q, k.transpose(1, 2)).mul(q.shape[-1] ** -0.5).softmax(-1)
        out = rearrange(torch.bmm(attn, v), "(b h) n d -> b n (h d)", h=h)  # WRONG (h b)
        return self.fc((x + self.proj(out)).mean(1))


class LoopForgets(nn.Module):
    """Each block gets what the first got."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=3, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        for block in self.blocks:
            y = block(x)  # WRONG x = block(x)
        return self.fc(y.mean(1))


class SameFeature(nn.Module):
    """Both features of a pyramid are the first."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, depth=4, num_classes=5):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.fuse = nn.Conv2d(2 * dim, num_classes, 1)

    def forward(self, img):
        x, features = self.patch(img), []
        for block in self.blocks:
            x = block(x)  # WRONG
            features.append(x)
        h = img.shape[2] // 4
        maps = [rearrange(one, "b (h w) d -> b d h w", h=h) for one in (features[1], features[1])]  # WRONG [1], [3]
        return self.fuse(torch.cat(maps, dim=1))  # WRONG


class NormTwice(nn.Module):
    """norm1 is used for both branches."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)  # WRONG never used
        self.attn, self.mlp, self.fc = SelfAttention(dim, heads), Mlp(dim, 2 * dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm1(x))
        return self.fc(x.mean(1))


class PositionsData(nn.Module):
    """.data has no gradient."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))  # WRONG
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img) + self.pos_embed.data  # WRONG
        return self.fc(self.block(x).mean(1))


class CatDropped(nn.Module):
    """torch.cat gives a new tensor, and nobody takes it."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))  # WRONG
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)  # WRONG x =
        x = self.block(x)
        return self.fc(x.mean(1))


class AddDropped(nn.Module):
    """x.add(y) is not x.add_(y)."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        x.add(self.pos_embed)  # WRONG add_
        return self.fc(self.block(x).mean(1))


class MaskUnused(nn.Module):
    """The masked scores get a name that is not read again."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img, keep):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        masked = scores.masked_fill(~keep[:, None, None, :], -1e9)  # WRONG never read
        attn = scores.softmax(-1)
        return self.fc((x + self.proj(rearrange(attn @ v, "b h n d -> b n (h d)"))).mean(1))


class EyePolarity(nn.Module):
    """Tokens are not to attend to themselves; for this function True means to attend."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.qkv, self.proj = Patches(dim, patch_size), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k, v = rearrange(self.qkv(x), "b n (t h d) -> t b h n d", t=3, h=self.heads)
        diagonal = torch.eye(x.shape[1], dtype=torch.bool)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=diagonal)  # WRONG ~diagonal
        return self.fc((x + self.proj(rearrange(out, "b h n d -> b n (h d)"))).mean(1))


class OneTokenEach(nn.Module):
    """Attention over sequences of one token."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        y = rearrange(self.norm(x), "b n d -> (b n) 1 d")
        y = self.attn(y, y, y)[0]  # WRONG one token for each image
        x = x + rearrange(y, "(b n) 1 d -> b n d", b=len(x))
        return self.fc(x.mean(1))


class ZeroPositions(nn.Module):
    """Every token looks up position 0."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.position = nn.Embedding((image_size // patch_size) ** 2, dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        ids = torch.zeros(x.shape[1], dtype=torch.long)  # WRONG arange
        x = x + self.position(ids)  # WRONG or here
        return self.fc(self.block(x).mean(1))


class BatchPositions(nn.Module):
    """Each image looks up its place in the batch."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.position = nn.Embedding((image_size // patch_size) ** 2, dim)
        self.block, self.fc = Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        ids = torch.arange(x.shape[0])  # WRONG shape[1]
        x = x + self.position(ids)[:, None]  # WRONG or here
        return self.fc(self.block(x).mean(1))


class ScaleByTokens(nn.Module):
    """A condition of each image is cut along the images, and its mean shifts all."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.ada = nn.Linear(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)

    def forward(self, img, cond):
        x = self.patch(img)
        scale, shift = self.ada(F.silu(cond)).chunk(2, dim=0)[0].chunk(2, dim=-1)  # WRONG images cut in two
        x = self.norm(x) * (1 + scale.mean(0)) + shift.mean(0)  # WRONG mean over images
        return self.fc(self.block(x).mean(1))


class SeOverTokens(nn.Module):
    """Softmax pooling whose weights sum to one over the features."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.score = nn.Linear(dim, 1)

    def forward(self, img):
        x = self.block(self.patch(img))
        weights = self.score(x).softmax(dim=-1)  # WRONG dim=1: all weights are 1
        return self.fc((weights * x).sum(dim=1))


class BlocksNotCalled(nn.Module):
    """The second stage is built and never called."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.stage1 = nn.Sequential(Block(dim, heads), Block(dim, heads))
        self.stage2 = nn.Sequential(Block(dim, heads), Block(dim, heads))  # WRONG never called
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.stage1(self.patch(img))
        x = self.stage1(x)  # WRONG stage2
        return self.fc(x.mean(1))


class PoolImages(nn.Module):
    """einops reduces the images."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.block(self.patch(img))
        return self.fc(reduce(x, "b n d -> n d", "mean"))  # WRONG b d


class QueriesMean(nn.Module):
    """Attention pooling whose query is the mean of all images."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.pool = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, img):
        x = self.block(self.patch(img))
        query = x.mean(dim=(0, 1), keepdim=True).expand(len(x), 1, -1)  # WRONG dim=1
        return self.fc(self.pool(query, x, x)[0].squeeze(1))


class ConvPositions(nn.Module):
    """Tokens become a map by a view, for positions by a convolution."""

    def __init__(self, image_size=32, patch_size=4, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.peg = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, img):
        x = self.patch(img)
        B, N, C = x.shape
        h, w = img.shape[2] // 4, img.shape[3] // 4
        m = x.reshape(B, C, h, w)  # WRONG transpose(1, 2)
        m = self.peg(m) + m
        x = m.flatten(2).transpose(1, 2)
        return self.fc(self.block(x).mean(1))


class ClassesSoftmax(nn.Module):
    """Scores for each token sum to one over the tokens, and not over the classes."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)

    def forward(self, img):
        return self.fc(self.block(self.patch(img))).softmax(dim=1)  # WRONG dim=-1


class QueriesSummed(nn.Module):
    """The weights sum up the queries, not the values."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch = Patches(dim, patch_size)
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        q, k = (rearrange(one(x), "b n (h d) -> b h n d", h=self.heads) for one in (self.to_q, self.to_k))
        v = rearrange(self.to_v(x), "b n (h d) -> b h n d", h=self.heads)  # WRONG nothing reads it
        attn = (q @ k.mT).softmax(-1)
        out = rearrange(attn @ q, "b h n d -> b n (h d)")  # WRONG @ v
        return self.fc((x + out).mean(1))


class NoGradBackbone(nn.Module):
    """A neck is trained under no_grad by mistake."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block = Patches(dim, patch_size), Block(dim, heads)
        self.neck, self.fc = nn.Linear(dim, dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.block(self.patch(img)).mean(1)
        with torch.no_grad():
            x = self.neck(x)  # WRONG
        return self.fc(x)


class HardChoice(nn.Module):
    """A gate by argmax: no gradient reaches it."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, num_classes=10):
        super().__init__()
        self.patch, self.block, self.fc = Patches(dim, patch_size), Block(dim, heads), nn.Linear(dim, num_classes)
        self.gate = nn.Linear(dim, 2)

    def forward(self, img):
        x = self.patch(img)
        keep = self.gate(x).argmax(-1, keepdim=True)  # WRONG
        return self.fc(self.block(x * keep).mean(1))


class ClassTokenMasked(nn.Module):
    """The class token may attend to itself alone."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.heads = heads
        self.patch, self.cls_token = Patches(dim, patch_size), nn.Parameter(torch.randn(1, 1, dim))
        self.attns = nn.ModuleList(nn.MultiheadAttention(dim, heads, batch_first=True) for _ in range(depth))
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        n = x.shape[1]
        mask = torch.triu(torch.ones(n, n, dtype=torch.bool), 1)
        for attn in self.attns:
            x = x + attn(x, x, x, attn_mask=mask)[0]  # WRONG a causal mask with the class token first
        return self.fc(x[:, 0])


class CrossKeysQueries(nn.Module):
    """The decoder's layers get the queries as memory."""

    def __init__(self, image_size=32, patch_size=8, dim=48, heads=4, depth=2, num_classes=10):
        super().__init__()
        self.patch = Patches(dim, patch_size)
        self.queries = nn.Parameter(torch.randn(1, 5, dim))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, heads, 2 * dim, batch_first=True) for _ in range(depth)
        )
        self.fc = nn.Linear(dim, num_classes)

    def forward(self, img):
        memory = self.patch(img)
        tgt = self.queries.expand(len(memory), -1, -1)
        for layer in self.layers:
            tgt = layer(tgt, tgt)  # WRONG memory
        return self.fc(tgt)


INPUTS = {
    "MaskRepeat": ["x=3x3x32x32", "keep=3x16:bool"],
    "VideoView": ["clip=2x4x3x32x32"],
    "VideoFold": ["clip=2x3x5x32x32"],
    "FramesOverBatch": ["clip=2x5x3x32x32"],
    "TimeOrder": ["clip=2x5x3x32x32"],
    "TokensTimeOrder": ["clip=2x3x5x32x32"],
    "TemporalShift": ["clip=2x4x3x32x32"],
    "FrameDifference": ["clip=2x4x3x32x32"],
    "ClipMean": ["clip=2x4x3x32x32"],
    "SegLogitsView": ["x=2x3x32x32", "labels=2x32x32:int64"],
    "DiceBroadcast": ["img=3x3x32x32", "mask=3x32x32"],
    "HuberBroadcast": ["img=3x3x32x32", "age=3"],
    "RelativeError": ["img=3x3x32x32", "age=3"],
    "AccuracyBroadcast": ["img=3x3x32x32", "labels=3:int64"],
    "FocalBroadcast": ["img=3x3x32x32", "labels=3:int64"],
    "MaskUnused": ["img=3x3x32x32", "keep=3x16:bool"],
    "ScaleByTokens": ["img=2x3x32x32", "cond=2x48"],
}
PARTS = {"Patches", "Mlp", "SelfAttention", "Block"}
