"""Facts of the learners of synthetic studies."""

# title, family, paper mode, tested in both modes, skill (logit of the clean 5-way 1-shot accuracy), loss per severity
FACTS = {
    "pixel_nn": ("Pixel nearest neighbour", "baseline", "inductive", False, -0.3, 0.30),
    "scratch": ("From scratch", "baseline", "inductive", True, 0.2, 0.33),
    "protonet": ("Prototypical networks", "metric-based", "inductive", True, 2.2, 0.35),
    "matching": ("Matching networks", "metric-based", "inductive", True, 2.0, 0.36),
    "maml": ("MAML", "optimization-based", "transductive", True, 2.0, 0.25),
    "fomaml": ("First-order MAML", "optimization-based", "transductive", True, 1.8, 0.26),
    "reptile": ("Reptile", "optimization-based", "transductive", True, 1.7, 0.27),
    "snail": ("SNAIL", "model-based", "inductive", True, 2.1, 0.60),
    "metanet": ("MetaNet", "model-based", "inductive", True, 2.0, 0.70),
    "lstm": ("LSTM learner", "model-based", "inductive", False, 1.2, 0.55),
}
COST = dict.fromkeys(FACTS, 0.5) | {
    "pixel_nn": 0.001,
    "protonet": 0.2,
    "matching": 0.3,
    "maml": 2.0,
    "scratch": 5.0,
}
"""GFLOP of an adaptation."""
UNTRAINED = ("pixel_nn", "scratch")
