"""First-order MAML.

MAML with inner gradients treated as constants: the meta-gradient is the query gradient at the adapted weights.

Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017 (section 5.2);
Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms. 2018 (Omniglot numbers).

Deviations: those of `maml`; the code differs in one flag only. The presets are those of Finn et al., whose paper has no
numbers on Omniglot: those beside ours are from Nichol et al., with an inner Adam, one query per class at test and the last
batch of the inner loop kept apart.
"""

from algos.optimization.maml import MAML


class FOMAML(MAML):
    title = "FOMAML"
    citation = "Finn et al. 2017; Nichol et al. 2018"
    first_order = True
