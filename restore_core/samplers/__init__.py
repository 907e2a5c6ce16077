"""Samplers: plain generators that walk from x_T to a clean picture, for every process alike.

With D the denoiser's guess of x0, primes for the next (cleaner) time and r the process's gain, all of them are

    x' = a' D + b' y + rho (x - a D - b y) + sigma z

    posterior, eta = 1     rho = r s'^2/s^2,   sigma_small^2 = s'^2 - rho^2 s^2
    DDIM(eta)              sigma = eta sigma_small,   rho = sqrt(s'^2 - sigma^2)/s

or higher-order versions of the same. `base` has the rule and the table, `euler` the samplers that look at the present
state alone, `multistep` those that remember earlier guesses, `halfway` those that look ahead. `exploding`
has published walks in EDM's variables, for parity. Importing this fills SAMPLERS.
"""

from restore_core.grids import GRID_LABELS, GRIDS, time_grid
from restore_core.samplers.base import SAMPLERS, Denoise, Draw, Sampler, Step, sampler
from restore_core.samplers.euler import ddim, euler_maruyama, heun, invert
from restore_core.samplers.exploding import churned, linear_multistep
from restore_core.samplers.halfway import midpoint, singlestep, singlestep_sde
from restore_core.samplers.multistep import (
    exponential,
    exponential_noise,
    multistep,
    multistep_3_sde,
    multistep_sde,
)

__all__ = [
    "GRIDS",
    "GRID_LABELS",
    "SAMPLERS",
    "Denoise",
    "Draw",
    "Sampler",
    "Step",
    "churned",
    "ddim",
    "euler_maruyama",
    "exponential",
    "exponential_noise",
    "heun",
    "invert",
    "linear_multistep",
    "midpoint",
    "multistep",
    "multistep_3_sde",
    "multistep_sde",
    "sampler",
    "singlestep",
    "singlestep_sde",
    "time_grid",
]
