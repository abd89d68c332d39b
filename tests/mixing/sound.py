"""Changes that are right: what people do to the models of `models/` and must get no warning for."""

from mixing.corpus import Variant
from mixing.mutants import at

TORCH = "import torch\nfrom torch import nn\n"

ATTENTION = at(
    8,
    "attn = (q @ k.transpose(-2, -1)) * self.scale",
    "attn = attn.softmax(dim=-1)",
    "x = (attn @ v).transpose(1, 2).reshape(B, N, C)",
)
"""The attention of vit_plain."""

POOLED = at(8, "x = x.mean(dim=1)", "return self.classifier(x)")
"""The end of vit_mha's forward."""

SOUND = [
    Variant(
        "einops for reshape and permute",
        "vit_plain",
        (
            (TORCH, f"from einops import rearrange\n{TORCH}"),
            (
                "self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)",
                'rearrange(self.qkv(x), "b n (s h d) -> s b h n d", s=3, h=self.heads)',
            ),
            (".transpose(1, 2).reshape(B, N, C)", ".movedim(1, 2).flatten(2)"),
        ),
        same=True,
    ),
    Variant(
        "heads before q, k and v in the rows of the layer",
        "vit_plain",
        (
            (
                "reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)",
                "reshape(B, N, self.heads, 3, C // self.heads).permute(3, 0, 2, 1, 4)",
            ),
        ),
    ),
    Variant(
        "scaled_dot_product_attention",
        "vit_plain",
        (
            (
                ATTENTION,
                at(
                    8,
                    "x = nn.functional.scaled_dot_product_attention(q, k, v)",
                    "x = x.transpose(1, 2).reshape(B, N, C)",
                ),
            ),
        ),
        same=True,
    ),
    Variant(
        "causal attention",
        "vit_plain",
        (
            (
                ATTENTION,
                at(
                    8,
                    "x = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)",
                    "x = x.transpose(1, 2).reshape(B, N, C)",
                ),
            ),
            ("torch.cat((cls_token, x), dim=1)", "torch.cat((x, cls_token), dim=1)"),
            ("self.head(x[:, 0])", "self.head(x[:, -1])"),
        ),
    ),
    Variant(
        "a model with a class token reads the mean", "vit_plain", (("self.head(x[:, 0])", "self.head(x.mean(1))"),)
    ),
    Variant(
        "a model with a class token reads the mean of the patches",
        "vit_plain",
        (("self.head(x[:, 0])", "self.head(x[:, 1:].mean(1))"),),
    ),
    Variant(
        "a bias by distance, one slope for each head",
        "vit_plain",
        (
            ("self.qkv = ", "self.slopes = nn.Parameter(torch.ones(heads, 1, 1))\n        self.qkv = "),
            (
                "attn = attn.softmax(dim=-1)",
                at(
                    8,
                    "at = torch.arange(N, device=x.device)",
                    "attn = attn - self.slopes * (at[:, None] - at[None, :]).abs()",
                    "attn = attn.softmax(dim=-1)",
                ),
            ),
        ),
    ),
    Variant(
        "attention over channels (XCiT)",
        "vit_plain",
        (
            ("permute(2, 0, 3, 1, 4)", "permute(2, 0, 3, 4, 1)"),
            (
                ATTENTION,
                at(
                    8,
                    "q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)",
                    "attn = (q @ k.transpose(-2, -1)) * self.temperature",
                    "attn = attn.softmax(dim=-1)",
                    "x = (attn @ v).permute(0, 3, 1, 2).reshape(B, N, C)",
                ),
            ),
            ("self.scale = (dim // heads) ** -0.5", "self.temperature = nn.Parameter(torch.ones(heads, 1, 1))"),
        ),
    ),
    Variant(
        "LayerScale",
        "vit_plain",
        (
            ("self.norm2 =", "self.gamma = nn.Parameter(1e-4 * torch.ones(dim))\n        self.norm2 ="),
            ("x + self.attn(self.norm1(x))", "x + self.gamma * self.attn(self.norm1(x))"),
        ),
    ),
    Variant(
        "AdaLN: shift, scale and gate from a condition",
        "vit_plain",
        (
            (
                "self.norm1 = nn.LayerNorm(dim)",
                "self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)\n        self.ada = nn.Linear(dim, dim * 3)",
            ),
            (
                at(4, "def forward(self, x):", "    x = x + self.attn(self.norm1(x))"),
                at(
                    4,
                    "def forward(self, x, c):",
                    "    shift, scale, gate = self.ada(c).chunk(3, dim=-1)",
                    "    y = self.norm1(x) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)",
                    "    x = x + gate.unsqueeze(1) * self.attn(y)",
                ),
            ),
            ("            x = blk(x)", "            x = blk(x, c)"),
            ("        for blk in", "        c = nn.functional.silu(x.mean(dim=1))\n        for blk in"),
        ),
    ),
    Variant(
        "checkpointing",
        "vit_plain",
        (
            (TORCH, f"{TORCH}from torch.utils.checkpoint import checkpoint\n"),
            ("            x = blk(x)", "            x = checkpoint(blk, x, use_reentrant=False)"),
        ),
        same=True,
    ),
    Variant(
        "one block for all layers",
        "vit_plain",
        (("[Block(dim, heads) for _ in range(depth)]", "[Block(dim, heads)] * depth"),),
    ),
    Variant(
        "class attention: only the class token asks (CaiT)",
        "vit_plain",
        (
            (
                "self.norm = nn.LayerNorm(dim)\n",
                at(
                    8,
                    "self.cls_attn = nn.MultiheadAttention(dim, heads, batch_first=True)",
                    "self.norm = nn.LayerNorm(dim)\n",
                ),
            ),
            (
                "return self.norm(x)",
                at(
                    8,
                    "cls = x[:, :1]",
                    "x = cls + self.cls_attn(cls, x, x, need_weights=False)[0]",
                    "return self.norm(x)",
                ),
            ),
        ),
    ),
    Variant(
        "positions resized to the grid they have",
        "vit_plain",
        (
            (
                "x = x + self.pos_embed\n",
                at(
                    8,
                    "side = int(self.num_patches**0.5)",
                    "grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)",
                    'grid = nn.functional.interpolate(grid, size=(side, side), mode="bicubic")',
                    "grid = grid.permute(0, 2, 3, 1).flatten(1, 2)",
                    "x = x + torch.cat([self.pos_embed[:, :1], grid], dim=1)\n",
                ),
            ),
        ),
        same=True,
    ),
    Variant(
        "patches by unfold instead of einops",
        "vit_einops",
        (
            (
                'Rearrange("b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=patch_size, p2=patch_size)',
                'nn.Sequential(nn.Unfold(patch_size, 1, 0, patch_size), Rearrange("b (c p) n -> b n (p c)", c=3))',
            ),
        ),
        same=True,
    ),
    Variant(
        "windows of a line: the sequence is cut, attended, put together",
        "vit_einops",
        (
            ("x = x[:, 0]", "x = x.mean(dim=1)"),
            (
                "x = attn(x) + x",
                at(
                    12,
                    'y = rearrange(x[:, 1:], "b (s n) d -> (b s) n d", s=4)',
                    'y = rearrange(attn(y), "(b s) n d -> b (s n) d", s=4)',
                    "x = torch.cat([x[:, :1], x[:, 1:] + y], dim=1)",
                ),
            ),
        ),
    ),
    Variant(
        "sequence first, with a transpose on both sides",
        "vit_mha",
        (
            ("dim, heads, batch_first=True", "dim, heads"),
            ("y = self.ln_1(x)", "y = self.ln_1(x).transpose(0, 1)"),
            ("x = x + y\n", "x = x + y.transpose(0, 1)\n"),
        ),
        same=True,
    ),
    Variant(
        "attention weights that nobody reads",
        "vit_mha",
        (("y, _ = self.attention(y, y, y, need_weights=False)", "y, weights = self.attention(y, y, y)"),),
        same=True,
    ),
    Variant(
        "a target branch that is detached (SimSiam)",
        "vit_mha",
        (
            ("def forward(self, images):", "def encode(self, images):"),
            (
                POOLED,
                at(
                    4,
                    "return x.mean(dim=1)",
                    "",
                    "def forward(self, images):",
                    "    one, two = self.encode(images), self.encode(images.flip(-1))",
                    "    loss = -nn.functional.cosine_similarity(self.predict(one), two.detach(), dim=-1).mean()",
                    "    return loss, self.classifier(one)",
                ),
            ),
            ("self.classifier =", "self.predict = nn.Linear(dim, dim)\n        self.classifier ="),
        ),
    ),
    Variant(
        "a teacher without gradients (MoCo)",
        "vit_mha",
        (
            (TORCH, f"import copy\n\n{TORCH}"),
            ("self.ln = nn", "self.teacher = copy.deepcopy(self.blocks).requires_grad_(False)\n        self.ln = nn"),
            (
                "x = self.blocks(x)",
                at(8, "with torch.no_grad():", "    target = self.teacher(x)", "x = self.blocks(x)"),
            ),
            (POOLED, at(8, "loss = nn.functional.mse_loss(x, target)", "return loss, self.classifier(x.mean(dim=1))")),
        ),
    ),
    Variant(
        "global context added to every token",
        "vit_mha",
        (("return x + y", "return x + y + y.mean(dim=1, keepdim=True)"),),
    ),
    Variant(
        "the hardest choice forward, the soft one backward",
        "vit_mha",
        (
            (
                POOLED,
                at(
                    8,
                    "soft = self.gate(x).softmax(dim=1)",
                    "hard = nn.functional.one_hot(soft.argmax(dim=1).squeeze(-1), x.shape[1]).unsqueeze(-1).float()",
                    "gate = hard + soft - soft.detach()",
                    "return self.classifier((gate * x).sum(dim=1))",
                ),
            ),
            ("self.classifier =", "self.gate = nn.Linear(dim, 1)\n        self.classifier ="),
        ),
    ),
    Variant(
        "an encoder that is sequence first, read by the mean over axis 0",
        "vit_encoder",
        (
            ("batch_first=True", "batch_first=False"),
            (
                "x = torch.cat([class_tokens, registers, x], dim=1)",
                "x = torch.cat([class_tokens, registers, x], dim=1).permute(1, 0, 2)",
            ),
            ("x[:, 0], x[:, 1 + self.num_registers :]", "x[0], x[1 + self.num_registers :]"),
            ("patches.mean(dim=1)", "patches.mean(dim=0)"),
        ),
        same=True,
    ),
    Variant(
        "attention on a dilated grid (MaxViT)",
        "swin",
        (
            ("B, H // ws, ws, W // ws, ws, C)", "B, ws, H // ws, ws, W // ws, C)"),
            (
                "x.permute(0, 1, 3, 2, 4, 5).reshape(-1, ws * ws, C)",
                "x.permute(0, 2, 4, 1, 3, 5).reshape(-1, ws * ws, C)",
            ),
            (
                "return x.permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, -1)",
                "return x.permute(0, 3, 1, 4, 2, 5).reshape(B, H, W, -1)",
            ),
            ("shifts = [window // 2 if i % 2 else 0 for i in range(depth)]", "shifts = [0] * depth"),
        ),
    ),
    Variant(
        "targets normalised patch by patch",
        "mae",
        (
            (
                "        loss = (pred - target) ** 2",
                at(
                    8,
                    "        mean, var = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)",
                    "target = (target - mean) / (var + 1.0e-6) ** 0.5",
                    "loss = (pred - target) ** 2",
                ),
            ),
        ),
    ),
    Variant("GroupNorm", "segmenter", (("nn.BatchNorm2d(dim)", "nn.GroupNorm(4, dim)"),)),
    Variant(
        "a squeeze-and-excitation gate",
        "segmenter",
        (
            (
                "self.norm = nn.BatchNorm2d(dim)",
                "self.norm = nn.BatchNorm2d(dim)\n        self.se = nn.Conv2d(dim, dim, 1)",
            ),
            (
                "return F.relu(self.norm(self.conv(x)))",
                at(
                    8,
                    "x = F.relu(self.norm(self.conv(x)))",
                    "return x * self.se(F.adaptive_avg_pool2d(x, 1)).sigmoid()",
                ),
            ),
        ),
    ),
    Variant(
        "pixel shuffle",
        "segmenter",
        (
            (
                "nn.ConvTranspose2d(dim, dim // 2, 2, stride=2)",
                "nn.Sequential(nn.Conv2d(dim, dim * 2, 1), nn.PixelShuffle(2))",
            ),
        ),
    ),
    Variant(
        "tokens to a map by view and permute",
        "segmenter",
        (("tokens.transpose(1, 2).reshape(b, c, h, w)", "tokens.view(b, h, w, c).permute(0, 3, 1, 2).contiguous()"),),
        same=True,
    ),
    Variant(
        "slot attention: softmax over slots, renormalised over keys",
        "detector",
        (
            (
                "weights = scores.softmax(dim=-1)",
                at(
                    8,
                    "weights = scores.softmax(dim=-2) + 1e-8",
                    "weights = weights / weights.sum(dim=-1, keepdim=True)",
                ),
            ),
        ),
    ),
    Variant(
        "logits instead of probabilities, and boxes around a reference point",
        "detector",
        (
            (".softmax(-1)", ""),
            (
                "self.box_head(tgt).sigmoid()",
                "(self.box_head(tgt) + self.reference(query_pos).repeat(1, 1, 2)).sigmoid()",
            ),
            ("self.class_head =", "self.reference = nn.Linear(dim, 2)\n        self.class_head ="),
        ),
    ),
    Variant(
        "a contrastive loss over the batch",
        "mixer",
        (
            (
                "def forward(self, images):",
                at(
                    4,
                    "def forward(self, images):",
                    "    one = nn.functional.normalize(self.encode(images), dim=-1)",
                    "    two = nn.functional.normalize(self.encode(images.flip(-1)), dim=-1)",
                    "    logits = one @ two.t() / 0.1",
                    "    labels = torch.arange(len(images), device=images.device)",
                    "    return nn.functional.cross_entropy(logits, labels)",
                    "",
                    "def encode(self, images):",
                ),
            ),
        ),
    ),
    Variant(
        "half of the channels are shifted by one token",
        "mixer",
        (
            (
                "y = self.norm2(x)",
                at(
                    8,
                    "y = self.norm2(x)",
                    "one, two = y.chunk(2, dim=-1)",
                    "y = torch.cat([one.roll(1, dims=1), two], dim=-1)",
                ),
            ),
        ),
    ),
    Variant(
        "FiLM: scale and shift of a clip are broadcast over frames and patches",
        "video",
        (
            ("self.head =", "self.film = nn.Linear(dim, dim * 2)\n        self.head ="),
            (
                "        for block in",
                at(
                    8,
                    "        scale, shift = self.film(x.mean(dim=(1, 2))).chunk(2, dim=-1)",
                    "x = x * (1 + scale[:, None, None]) + shift[:, None, None]",
                    "for block in",
                ),
            ),
        ),
    ),
    Variant(
        "time by einops",
        "video",
        (
            ("y = x.permute(0, 2, 1, 3).reshape(b * n, t, d)", 'y = rearrange(x, "b t n d -> (b n) t d")'),
            ("y.reshape(b, n, t, d).permute(0, 2, 1, 3)", 'rearrange(y, "(b n) t d -> b t n d", b=b)'),
        ),
        same=True,
    ),
    Variant(
        "attention along columns, then along rows",
        "grid",
        (
            (
                "x = x + self.attn(self.norm1(x))",
                at(
                    8,
                    "y = self.norm1(x).unflatten(1, (h, w))",
                    "columns = self.along(y.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, w)).transpose(1, 2)",
                    "x = x + columns.flatten(1, 2)",
                    "x = x + self.attn(self.norm1(x))",
                ),
            ),
            ("self.grid = grid\n", "self.grid = grid\n        self.along = Attention(dim, heads, (grid[0], 1))\n"),
        ),
    ),
    Variant(
        "a frozen backbone",
        "classify",
        (
            ("self.fc = ", "self.encoder.requires_grad_(False)\n        self.fc = "),
            ("self.dropout(self.encoder(images))", "self.dropout(self.encoder(images).detach())"),
        ),
        same=True,
    ),
    Variant(
        "cross entropy with label smoothing",
        "classify",
        (
            (
                'F.nll_loss(log_probs, labels, reduction="none")',
                'F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)',
            ),
        ),
    ),
    Variant(
        "a ranking loss over pairs of images",
        "regress",
        (
            (
                "loss = F.mse_loss(pred, ages)",
                at(
                    8,
                    "order = torch.sign(ages[:, None] - ages[None, :])",
                    "loss = F.mse_loss(pred, ages) + torch.relu(1 - order * (pred[:, None] - pred[None, :])).mean()",
                ),
            ),
        ),
    ),
    Variant(
        "a mask that is added, and one row for each image",
        "padded",
        (
            (
                "scores.masked_fill(padding[:, None, None, :], -1e4)",
                "scores + padding[:, None, None, :].to(scores.dtype) * -1e4",
            ),
        ),
        same=True,
    ),
]
