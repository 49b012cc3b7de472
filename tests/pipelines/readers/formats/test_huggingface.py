import pytest

from pipelines.errors import UserError
from pipelines.readers.formats.huggingface import HuggingFace

datasets = pytest.importorskip("datasets")


def test_a_hub_that_cannot_be_reached_says_what_to_do_instead(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="dataset 'owner/name', split 'train'") as raised:
        HuggingFace(format="huggingface", path="owner/name").look()
    said = str(raised.value)
    assert "HF_HUB_OFFLINE is set: unset it, or fetch it where there is a network" in said
    assert "hf download --repo-type dataset owner/name --local-dir data" in said


def test_a_dataset_that_is_not_there_says_which_keys_name_it(monkeypatch):
    def load(*_, **__):
        raise ValueError('Unknown split "trian".\nShould be one of train.')

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError, match='Unknown split "trian"') as raised:
        HuggingFace(format="huggingface", path="owner/name", split="trian").look()
    assert "look up `path`, `config`, `split` and `revision`" in str(raised.value)
