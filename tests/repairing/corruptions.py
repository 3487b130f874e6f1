"""Ways in which a file is damaged on the way: bits, tails, sectors, blocks."""

import random
from collections.abc import Callable

Corruption = Callable[[bytearray, random.Random], None]


def flip_a_bit(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def flip_many_bits(data: bytearray, dice: random.Random) -> None:
    for _ in range(50):
        flip_a_bit(data, dice)


def cut_the_tail(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def zero_sectors(data: bytearray, dice: random.Random) -> None:
    sector = dice.randrange(len(data) // 512)
    n_sectors = dice.randrange(1, 9)
    begin, end = sector * 512, min(len(data), (sector + n_sectors) * 512)
    data[begin:end] = bytes(end - begin)


def swap_blocks(data: bytearray, dice: random.Random) -> None:
    one, other = (dice.randrange(len(data) // 512) * 512 for _ in range(2))
    data[one : one + 512], data[other : other + 512] = (
        data[other : other + 512],
        data[one : one + 512],
    )


def append_junk(data: bytearray, dice: random.Random) -> None:
    data += dice.randbytes(dice.randrange(1, 2000))


CORRUPTIONS: list[Corruption] = [
    flip_a_bit,
    flip_many_bits,
    cut_the_tail,
    zero_sectors,
    swap_blocks,
    append_junk,
]
