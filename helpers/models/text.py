"""Networks for texts: fastText's bag of hashed words and bigrams, and very deep VDCNN."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError
from helpers.models.base import Network, checked_width

NAMES = "fasttext (-dN: dimension, -bN: 2^N buckets), "
NAMES += "vdcnn9, 17, 29, 49 (-wN: width, -shortcut, -tN: reads the first N bytes)"
# Words kept of a text: 99.9 % of the IMDB reviews, cut at 1,024 bytes, have no more.
WORDS = 320
# Hashes are polynomials over the integers modulo a prime: sums of bytes (below 2^8) times
# residues (below 2^31) never leave int64.
PRIME = 2**31 - 1
BASE, PAIR = 1_000_003, 1_103_515_245
# Texts hashed at once: 8 MB for each of the steps.
AT_ONCE = 1024
# VDCNN's blocks of two convolutions at each of its four widths, by depth.
BLOCKS = {9: (1, 1, 1, 1), 17: (2, 2, 2, 2), 29: (5, 5, 2, 2), 49: (8, 8, 5, 3)}
KEPT_MAXIMA = 8
# Of the bytes that a text keeps; the last level, after three halvings, must hold the maxima.
FEWEST_BYTES, MOST_BYTES = 64, 1024


def lowered(texts: Tensor) -> Tensor:
    """Turn A to Z into a to z in bytes (n, T); everything else stays. Returns int64."""
    values = texts.long()
    return values + 32 * ((values >= ord("A")) & (values <= ord("Z")))


def hashed_words(texts: Tensor) -> Tensor:
    """Hash the words of texts, uint8 (n, T), UTF-8 filled up with 0.

    A word is a run of ASCII letters, digits and bytes from 128 on (so letters outside ASCII
    stay whole); every other visible sign is a word of its own.

    Returns:
        int32 (n, WORDS), hashes 1..PRIME - 1 of the lower-cased words in their order, filled up
        with 0; words beyond WORDS are left out.
    """
    values = lowered(texts)
    in_word = (values >= ord("a")) & (values <= ord("z")) | (values >= 128)
    in_word |= (values >= ord("0")) & (values <= ord("9"))
    visible = in_word | (values > ord(" "))
    starts = visible & ~(in_word & F.pad(in_word, (1, -1)))
    at = torch.arange(values.shape[1], device=values.device)
    within = at - torch.where(starts, at, 0).cummax(dim=1).values
    powers = [pow(BASE, k, PRIME) for k in range(values.shape[1])]
    terms = values * torch.tensor(powers, device=values.device)[within]
    # what lies between words or beyond the last one kept falls into a column that is dropped
    word = torch.where(visible, starts.cumsum(dim=1) - 1, WORDS).clamp_max(WORDS)
    sums = terms.new_zeros(len(values), WORDS + 1).scatter_add_(1, word, terms)[:, :WORDS]
    return torch.where(sums > 0, 1 + sums % (PRIME - 1), 0).int()


def looked_up(table: nn.Embedding, ids: Tensor) -> Tensor:
    """Return the rows (b, m, d) of a table, as `table(ids)` does, to the same bits.

    Row 0 is filling and gets no gradient. On a CPU the embedding's own backward pass takes one
    row at a time, half of a step of fastText in a trial; that of a gather does not.
    """
    if ids.is_cuda:
        return table(ids)
    flat = ids.reshape(-1, 1)
    rows = table.weight.gather(0, flat.expand(-1, table.embedding_dim))
    return torch.where(flat > 0, rows, 0).view(*ids.shape, -1)


class FastText(Network):
    """A linear classifier on the mean embedding of a text's words and pairs of words.

    Note:
        fastText keeps a dictionary of the words and hashes pairs into 10 million buckets. Here
        both are hashed into the same 2^18: no dictionary to build or to store, and a table
        whose dense step (10 MB) costs a CPU what a sparse one does.

    Source: Joulin et al. (2017), "Bag of Tricks for Efficient Text Classification", section 2:
    mean of the word vectors, bigrams hashed, 10 hidden units.
    """

    reads_text = True

    def __init__(self, n_classes: int, dimension: int = 10, bits: int = 18) -> None:
        super().__init__()
        self.buckets = 2**bits
        self.table = nn.Embedding(self.buckets + 1, dimension, padding_idx=0)
        self.classifier = nn.Linear(dimension, n_classes)
        with torch.no_grad():
            self.table.weight[1:].uniform_(-1 / dimension, 1 / dimension)
            self.classifier.weight.zero_()
            self.classifier.bias.zero_()

    @staticmethod
    def encode(texts: Tensor) -> Tensor:
        """Hash the words of texts uint8 (n, T): int32 (n, WORDS), see `hashed_words`."""
        return torch.cat([hashed_words(part) for part in texts.split(AT_ONCE)])

    def features(self, x: Tensor) -> Tensor:
        """Map word hashes (b, WORDS) from `encode`, or texts uint8 (b, T), to means (b, d)."""
        words = (self.encode(x) if x.dtype == torch.uint8 else x).long()
        pairs = (words[:, :-1] * PAIR + words[:, 1:]) % PRIME
        hashes = torch.cat([words, torch.where(words[:, 1:] > 0, 1 + pairs, 0)], dim=1)
        ids = torch.where(hashes > 0, 1 + hashes % self.buckets, 0)
        n_ids = (ids > 0).sum(dim=1, keepdim=True).clamp_min(1)
        return looked_up(self.table, ids).sum(dim=1) / n_ids


class ConvBlock(nn.Module):
    """Two temporal convolutions of size 3, each with batch norm and ReLU.

    Source: Conneau et al. (2017) figure 2; with `shortcut` the input is added before the last
    ReLU, through a convolution of size 1 where the width changes (their figure 1, optional).
    """

    def __init__(self, c_in: int, c_out: int, shortcut: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(a, c_out, 3, padding=1, bias=False) for a in (c_in, c_out)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(c_out) for _ in range(2))
        self.shortcut = None
        if shortcut:
            same = c_in == c_out
            self.shortcut = nn.Identity() if same else nn.Conv1d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, t) to (b, c_out, t)."""
        out = F.relu(self.norms[0](self.convs[0](x)))
        out = self.norms[1](self.convs[1](out))
        return F.relu(out if self.shortcut is None else out + self.shortcut(x))


class VDCNN(Network):
    """Very deep convolutional network on characters.

    Embedding of size 16, a convolution, blocks of widths w, 2w, 4w and 8w with max-pooling of
    size 3 and stride 2 before each widening, the 8 largest values a channel in their order, and
    three linear layers with 32w hidden units. `features(x)` is what the last of them sees.

    Note:
        The paper's alphabet has 69 signs, everything else is "unknown". Ours are the bytes, A-Z
        as a-z: the same for English texts, and other alphabets are read too. A text is 1,024
        bytes, theirs 1,014 characters, unless `length` says to read fewer: what a text costs
        is in proportion.

    Source: Conneau et al. (2017), figure 1, table 2 and section 3; `svp` section 3.1 trains
    depths 9 and 29. The shortcut is off unless asked for: it helped them at 49 layers only.
    On a few thousand texts 29 layers without it hardly learned in a trial.
    """

    reads_text = True

    def __init__(
        self,
        n_classes: int,
        blocks: tuple[int, ...],
        width: int = 64,
        shortcut: bool = False,
        length: int = MOST_BYTES,
    ) -> None:
        super().__init__()
        self.length = length
        self.embedding = nn.Embedding(256, 16, padding_idx=0)
        self.stem = nn.Conv1d(16, width, 3, padding=1)
        layers, c_in = [], width
        for level, n_blocks in enumerate(blocks):
            c_out = width * 2**level
            if level:
                layers.append(nn.MaxPool1d(3, stride=2, padding=1))
            for _ in range(n_blocks):
                layers.append(ConvBlock(c_in, c_out, shortcut))
                c_in = c_out
        self.blocks = nn.Sequential(*layers)
        hidden = 32 * width
        self.hidden = nn.ModuleList([nn.Linear(KEPT_MAXIMA * c_in, hidden)])
        self.hidden.append(nn.Linear(hidden, hidden))
        self.classifier = nn.Linear(hidden, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """Map texts (b, T) in bytes to features (b, 32w)."""
        read = lowered(x[:, : self.length])
        out = self.blocks(self.stem(looked_up(self.embedding, read).transpose(1, 2)))
        places = out.topk(KEPT_MAXIMA, dim=2).indices.sort(dim=2).values
        out = out.gather(2, places).flatten(1)
        for layer in self.hidden:
            out = F.relu(layer(out))
        return out


def make(name: str, n_classes: int, in_channels: int) -> FastText | VDCNN | None:
    """Build a network for texts by name, or return `None` where the name is none of `NAMES`.

    `fasttext`, with `-dN` for the dimension (10) and `-bN` for 2^N buckets (18):
    `fasttext-d20-b20`. `vdcnnD` with D one of 9, 17, 29, 49, with `-wN` for the width of the first
    level (64), `-shortcut`, and `-tN` to read the first N bytes only (all 1,024):
    `vdcnn9-w16-shortcut-t256`. `in_channels` is of no meaning for texts.

    Raises:
        StudyError: If a number is out of its range.
    """
    if found := re.fullmatch(r"fasttext(?:-d(\d+))?(?:-b(\d+))?", name):
        dimension, bits = int(found[1] or 10), int(found[2] or 18)
        if not (1 <= dimension <= 1000 and 8 <= bits <= 26):
            raise StudyError(f"{name!r}: the dimension lies in 1..1000 and the bits in 8..26")
        return FastText(n_classes, dimension, bits)
    if found := re.fullmatch(r"vdcnn(9|17|29|49)(?:-w(\d+))?(-shortcut)?(?:-t(\d+))?", name):
        width, length = checked_width(name, int(found[2] or 64)), int(found[4] or MOST_BYTES)
        if not FEWEST_BYTES <= length <= MOST_BYTES:
            raise StudyError(f"{name!r}: bytes read lie in {FEWEST_BYTES}..{MOST_BYTES}")
        return VDCNN(n_classes, BLOCKS[int(found[1])], width, bool(found[3]), length)
    return None
