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
    Variant(
        "an embedding of the kind of token, the same for all patches",
        "vit_plain",
        (
            (
                "self.norm = nn.LayerNorm(dim)\n",
                "self.kind = nn.Parameter(torch.zeros(1, 1, dim))\n        self.norm = nn.LayerNorm(dim)\n",
            ),
            ("x = x + self.pos_embed\n", "x = x + self.pos_embed + self.kind\n"),
        ),
    ),
    Variant(
        "no positions at all",
        "vit_mha",
        (
            ("        x = x + self.pos\n", ""),
            ("        self.pos = nn.Parameter(torch.randn(self.grid**2, dim) * 0.02)\n", ""),
        ),
    ),
    Variant(
        "columns before rows, with positions of its own",
        "vit_mha",
        (("x.permute(0, 2, 4, 3, 5, 1)", "x.permute(0, 4, 2, 3, 5, 1)"),),
    ),
    Variant(
        "one key and value head for all heads",
        "vit_plain",
        (
            ("nn.Linear(dim, dim * 3)", "nn.Linear(dim, dim + 2 * (dim // heads))"),
            (
                at(
                    8,
                    "qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)",
                    "q, k, v = qkv[0], qkv[1], qkv[2]",
                ),
                at(
                    8,
                    "d = C // self.heads",
                    "q, k, v = self.qkv(x).split([C, d, d], dim=-1)",
                    "q = q.view(B, N, self.heads, d).transpose(1, 2)",
                    "k, v = k.unsqueeze(1), v.unsqueeze(1)",
                ),
            ),
        ),
    ),
    Variant(
        "channels are shuffled between groups",
        "mixer",
        (
            (
                "y = self.norm2(x)",
                at(
                    8,
                    "y = self.norm2(x)",
                    "b, n, c = y.shape",
                    "y = y.view(b, n, 4, c // 4).transpose(2, 3).reshape(b, n, c)",
                ),
            ),
        ),
    ),
    Variant(
        "pixels are moved to channels before the stem",
        "mixer",
        (
            ("nn.Conv2d(3, dim, patch_size, patch_size)", "nn.Conv2d(12, dim, patch_size // 2, patch_size // 2)"),
            ("self.stem(images)", "self.stem(nn.functional.pixel_unshuffle(images, 2))"),
        ),
    ),
    Variant(
        "pixels are moved to channels by view and permute",
        "mixer",
        (
            ("nn.Conv2d(3, dim, patch_size, patch_size)", "nn.Conv2d(12, dim, patch_size // 2, patch_size // 2)"),
            (
                "x = self.stem(images)",
                at(
                    8,
                    "b, c, h, w = images.shape",
                    "x = images.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)",
                    "x = self.stem(x.reshape(b, c * 4, h // 2, w // 2))",
                ),
            ),
        ),
    ),
    Variant(
        "global response norm",
        "mixer",
        (
            (
                "return x + self.channel_mixing(y)",
                at(
                    8,
                    "y = self.channel_mixing(y)",
                    "size = y.norm(dim=1, keepdim=True)",
                    "return x + y * size / (size.mean(dim=-1, keepdim=True) + 1e-6)",
                ),
            ),
        ),
    ),
    Variant(
        "experts: softmax over them, each token in its mixture",
        "mixer",
        (
            (
                "self.norm2 =",
                at(
                    8, "self.router = nn.Linear(dim, 2)", "self.second = MlpBlock(dim, channels_hidden)", "self.norm2 ="
                ),
            ),
            (
                "return x + self.channel_mixing(y)",
                at(
                    8,
                    "share = self.router(y).softmax(dim=-1)",
                    "return x + share[..., :1] * self.channel_mixing(y) + share[..., 1:] * self.second(y)",
                ),
            ),
        ),
    ),
    Variant(
        "the mean of an image and its mirror",
        "mixer",
        (
            (
                "        x = self.stem(images)",
                at(8, "        images = torch.cat([images, images.flip(-1)])", "x = self.stem(images)"),
            ),
            ("return self.head(pooled)", "return self.head(pooled).view(2, b // 2, -1).mean(dim=0)"),
        ),
    ),
    Variant(
        "layers are weighed by a softmax over layers",
        "segmenter",
        (
            (
                "self.norm = nn.LayerNorm(dim)\n        self.fusion",
                "self.share = nn.Parameter(torch.zeros(2))\n        self.norm = nn.LayerNorm(dim)\n        self.fusion",
            ),
            ("early, late = features", "early, late = features\n        share = self.share.softmax(dim=0)"),
            (
                "self.to_map(self.norm(late)), self.to_map(early)",
                "self.to_map(self.norm(share[0] * late)), self.to_map(share[1] * early)",
            ),
        ),
    ),
    Variant(
        "class probabilities of a map: softmax over axis 1",
        "segmenter",
        (("logits = self.classify(x)", "logits = self.classify(x).softmax(dim=1)"),),
    ),
    Variant(
        "a loss over a map with a mask of the valid pixels",
        "segmenter",
        (
            ("def forward(self, image):", "def forward(self, image, labels):"),
            (
                'return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)',
                at(
                    8,
                    'logits = F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)',
                    "valid = (labels > 0).unsqueeze(1)",
                    "one_hot = F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)",
                    "error = (logits.softmax(dim=1) - one_hot) ** 2 * valid",
                    "return logits, error.sum() / valid.sum()",
                ),
            ),
            (
                "return (torch.randn(batch, 3, 32, 48),)",
                "return torch.randn(batch, 3, 32, 48), torch.randint(0, 5, (batch, 32, 48))",
            ),
        ),
    ),
    Variant(
        "a diffusion step: the embedding of its time is one for each image",
        "segmenter",
        (
            ("def forward(self, image):", "def forward(self, image, steps):"),
            ("self.pos_embed =", "self.time = nn.Linear(1, dim)\n        self.pos_embed ="),
            ("+ self.pos_embed\n", "+ self.pos_embed\n        x = x + self.time(steps.unsqueeze(1)).unsqueeze(1)\n"),
            ("return (torch.randn(batch, 3, 32, 48),)", "return torch.randn(batch, 3, 32, 48), torch.rand(batch)"),
        ),
    ),
    Variant(
        "a center that is subtracted, a buffer that the training loop moves",
        "pairs",
        (
            (
                "self.logit_scale =",
                'self.register_buffer("center", torch.full((1, embed_dim), 0.1))\n        self.logit_scale =',
            ),
            ("F.normalize(self.visual(images), dim=-1)", "F.normalize(self.visual(images) - self.center, dim=-1)"),
        ),
    ),
    Variant(
        "targets balanced over the batch without gradients (Sinkhorn)",
        "pairs",
        (
            (
                "loss = (F.cross_entropy(logits, labels)",
                at(
                    8,
                    "with torch.no_grad():",
                    "    targets = (logits / 0.5).exp()",
                    "    targets = targets / targets.sum(dim=0, keepdim=True)",
                    "    targets = targets / targets.sum(dim=1, keepdim=True)",
                    "loss = (F.cross_entropy(logits, targets)",
                ),
            ),
        ),
    ),
    Variant(
        "the last word by its place",
        "pairs",
        (("text.argmax(dim=-1)]", "(text != 0).sum(dim=-1) - 1]"),),
    ),
    Variant(
        "keys and values repeated by expand and reshape",
        "rope",
        (
            (
                "k = k.repeat_interleave(self.heads // self.kv_heads, dim=1)",
                "k = k.unsqueeze(2).expand(-1, -1, self.heads // self.kv_heads, -1, -1).flatten(1, 2)",
            ),
        ),
        same=True,
    ),
    Variant(
        "rotary positions in pairs of neighbours",
        "rope",
        (
            (
                at(4, "x1, x2 = x.chunk(2, dim=-1)", "return torch.cat([-x2, x1], dim=-1)"),
                at(
                    4,
                    "x1, x2 = x.unflatten(-1, (-1, 2)).unbind(-1)",
                    "return torch.stack([-x2, x1], dim=-1).flatten(-2)",
                ),
            ),
            (".repeat(1, 2)", ".repeat_interleave(2, dim=1)"),
        ),
    ),
    Variant(
        "the class token attends without the registers",
        "rope",
        (
            (
                "x = F.scaled_dot_product_attention(q, k, v)",
                at(
                    8,
                    "seen = torch.ones(n, n, dtype=torch.bool, device=x.device)",
                    "seen[0, 1 : self.prefix] = False",
                    "x = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)",
                ),
            ),
        ),
    ),
    Variant(
        "frames are differences to the frame before",
        "video",
        (
            (
                "        x = self.embed(video",
                at(
                    8,
                    "        video = torch.cat([video[:, :1], video[:, 1:] - video[:, :-1]], dim=1)",
                    "x = self.embed(video",
                ),
            ),
        ),
    ),
]
