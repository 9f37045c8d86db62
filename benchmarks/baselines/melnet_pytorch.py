"""The layers of MelNet in plain PyTorch, as its re-implementations have them: what ours are compared with.

Written from section 4 of Vasquez and Lewis (2019), arXiv:1906.01083; GRUs in place of LSTMs.
"""

import torch
from torch import nn


class Layer(nn.Module):
    """A time-delayed and a frequency-delayed layer on ``(batch, frames, bands, units)`` each."""

    def __init__(self, units):
        super().__init__()
        self.time = nn.GRU(units, units, batch_first=True)
        self.both = nn.GRU(units, units, batch_first=True, bidirectional=True)
        self.time_mix = nn.Linear(3 * units, units)
        self.up = nn.GRU(units, units, batch_first=True)
        self.frequency_mix = nn.Linear(units, units)

    def forward(self, in_time, in_frequency):
        batch, frames, bands, units = in_time.shape
        along, _ = self.time(in_time.transpose(1, 2).reshape(-1, frames, units))
        along = along.view(batch, bands, frames, units).transpose(1, 2)
        across, _ = self.both(in_time.reshape(-1, bands, units))
        across = across.view(batch, frames, bands, 2 * units)
        in_time = in_time + self.time_mix(torch.cat([along, across], dim=-1))
        states, _ = self.up((in_time + in_frequency).view(-1, bands, units))
        return in_time, in_frequency + self.frequency_mix(states.view(batch, frames, bands, units))


class Stack(nn.Module):
    """Layers one after the other; ``(batch, frames, bands, units)`` is the input of both kinds."""

    def __init__(self, units, depth):
        super().__init__()
        self.blocks = nn.ModuleList(Layer(units) for _ in range(depth))

    def forward(self, signal):
        in_time = in_frequency = signal
        for block in self.blocks:
            in_time, in_frequency = block(in_time, in_frequency)
        return in_frequency


def train_step(stack, optimizer, signal):
    """One step towards silence; returns the loss."""
    optimizer.zero_grad()
    loss = stack(signal).square().mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())
