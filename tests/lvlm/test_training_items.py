import numpy as np
import pytest
import scipy.sparse as sp

from recbole_sda.lvlm.training_items import StepBatches

TRAIN = np.arange(0, 40, 2)


def test_every_item_once_steps_per_epoch():
    plan = StepBatches(TRAIN, 5, 8, 1)
    for epoch in (range(4), range(4, 8)):
        assert sorted(np.concatenate([plan[k] for k in epoch]).tolist()) == TRAIN.tolist()
    assert len(plan) == 8
    with pytest.raises(IndexError):
        plan[8]


def test_a_step_depends_on_seed_and_number_alone():
    assert (StepBatches(TRAIN, 5, 8, 1)[6] == StepBatches(TRAIN, 5, 100, 1)[6]).all()
    assert (StepBatches(TRAIN, 5, 8, 1)[6] != StepBatches(TRAIN, 5, 8, 2)[6]).any()
    assert (StepBatches(TRAIN, 5, 8, 1)[0] != StepBatches(TRAIN, 5, 8, 1)[4]).any()


def test_partners_are_bought_together_and_of_training():
    pairs = sp.lil_matrix((40, 40))
    for k in range(0, 40, 4):  # each even item belongs with one other, and with an item that is held out
        pairs[k, k + 2] = pairs[k + 2, k] = 3
        pairs[k, k + 1] = pairs[k + 1, k] = 100
    plan = StepBatches(TRAIN, 6, 20, 1, pairs.tocsr())
    together = 0
    for k in range(20):
        batch = plan[k]
        assert len(set(batch.tolist())) == 6 and set(batch.tolist()) <= set(TRAIN.tolist())
        together += sum(other in batch for item in batch for other in (pairs.tocsr()[item].indices))
    assert together >= 20 * 4  # of six items at least four have their partner there
    firsts = np.concatenate([plan[k][:3] for k in range(plan.steps_per_epoch)])
    assert len(set(firsts.tolist())) == len(firsts)
