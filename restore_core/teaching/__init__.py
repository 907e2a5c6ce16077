"""What the Learn tab shows, computed without a page: small pictures, real runs, and the numbers behind each step.

scenes       one small picture, its damage, and the problems that the methods make of it
forward      the way to noise: a, b, s, the signal-to-noise ratio and the marginal's moments on a time grid
formulas     one sampler step as a sum of terms with its numbers in it
traces       a run of the real sampler with every term kept
randomness   the same start and fresh noise: what eta does, pixel by pixel
convergence  few steps and many from the same noise, against the flow followed finely
averages     samples, their means and the predictor on the plane of truth against looks
anatomy      a network's real shapes, read off by hooks while it runs
levels       one network told every noise level before every noise level
"""
