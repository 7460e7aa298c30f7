"""A classifier in one file: logistic regression on the pixels."""

import torch
from pydantic import Field
from torch import nn

import benchbench as bb


class Descent(bb.LearnerStep[nn.Module]):
    """One step on the cross-entropy."""

    def step(self, images, labels, index, total):
        loss = nn.functional.cross_entropy(self.learner.network(images), labels)
        self.learner.descend(loss, index, total)
        return {"loss": loss.detach()}


class LinearPredictor:
    """A trained one."""

    def __init__(self, network, shape, classes):
        self.network, self.shape, self.classes = network.eval(), shape, classes

    @torch.inference_mode()
    def predict(self, images):
        device = next(self.network.parameters()).device
        logits = [self.network(bb.to_float(part.to(device))) for part in images.split(1000)]
        return torch.cat(logits).softmax(dim=1).cpu()

    def state_dict(self):
        return {"shape": list(self.shape), "classes": self.classes, "network": self.network.state_dict()}


class Linear(bb.Classifier):
    """Multinomial logistic regression; what it gains from synthetic images is not for want of a network."""

    name = "linear"

    class Config(bb.Config):
        """How it is trained."""

        batch_size: int = Field(64, ge=1, description="Images a step.")
        learning_rate: float = Field(0.01, gt=0, description="Peak learning rate of AdamW.")
        weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")

    def train(self, train, steps, ctx):
        network = self._network(train.shape, len(train.classes))
        bb.init_weights(network, bb.torch_generator(ctx.seed, "linear", "init"))
        config = self.config
        rates = {"learning_rate": config.learning_rate, "weight_decay": config.weight_decay}
        learner = bb.Learner(bb.place(network, ctx), **rates, ema_decay=0.98)
        bb.fit_loop(Descent(learner), train, ctx, steps=steps, batch_size=config.batch_size, phase="classifier")
        return LinearPredictor(learner.averaged, train.shape, len(train.classes))

    def restore(self, state, device):
        network = self._network(state["shape"], state["classes"])
        network.load_state_dict(state["network"])
        return LinearPredictor(network.to(device), state["shape"], state["classes"])

    def _network(self, shape, classes):
        channels, height, width = shape
        with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global state
            return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


@bb.hookimpl
def benchbench_classifiers():
    return [Linear]
