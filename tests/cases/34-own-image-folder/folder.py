"""15 classes of 8 to 20 pictures of 50 x 70 pixels; a space and an umlaut in the names."""
import os
import numpy as np
from pathlib import Path
from PIL import Image
src = Path(os.environ['SCRATCH'])/'birds'; rng = np.random.default_rng(0)
for c in range(15):
    d = src / f'Vögel {c:02d}'; d.mkdir(parents=True, exist_ok=True)
    for i in range(8 + c % 13):
        a = rng.integers(0, 60, (50, 70, 3), dtype=np.uint8); a[:, :, c % 3] += np.uint8(10 * c)
        Image.fromarray(a).save(d / f'pic {i}.jpg')
