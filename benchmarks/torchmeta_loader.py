"""torchmeta's loader at its fastest: float32 images already in memory, one process, batches of tasks."""

from collections.abc import Callable

from tasks.dataset import ImageSplit
from tasks.episodes import Episodes
from tasks.preparation.torchmeta_compat import import_torchmeta


def torchmeta_sampler(
    split: ImageSplit, tasks: int, way: int, shot: int, query: int
) -> Callable[[], Episodes]:
    """Return a function that draws the next batch onto the device of the split.

    Raises DataError if torchmeta cannot be imported.
    """
    import_torchmeta()
    from torchmeta.transforms import Categorical, ClassSplitter
    from torchmeta.utils.data import BatchMetaDataLoader, CombinationMetaDataset

    device = split.images.device
    splitter = ClassSplitter(shuffle=True, num_train_per_class=shot, num_test_per_class=query)
    dataset = CombinationMetaDataset(
        _resident_classes(split), way, target_transform=Categorical(way), dataset_transform=splitter
    )
    batches = iter(BatchMetaDataLoader(dataset, batch_size=tasks, num_workers=0))

    def draw() -> Episodes:
        batch = next(batches)
        return Episodes(*(tensor.to(device) for tensor in (*batch["train"], *batch["test"])), way)

    return draw


def _resident_classes(split: ImageSplit):
    from torchmeta.utils.data import ClassDataset, Dataset

    images = split.images.float().div(255).cpu()

    class OneClass(Dataset):
        def __len__(self) -> int:
            return images.shape[1]

        def __getitem__(self, index: int) -> tuple:
            target = self.index if self.target_transform is None else self.target_transform(self.index)
            return images[self.index, index], target

    class Resident(ClassDataset):
        num_classes = len(images)

        def __getitem__(self, index: int) -> OneClass:
            return OneClass(index, target_transform=self.get_target_transform(index))

    return Resident(meta_train=True)
