import http.server
import io
import ssl
import subprocess
import threading

import numpy as np
import pandas as pd
import pydicom
import pytest
from hand_made_networks import hand_made_cascade
from orthanc import PASSWORD, USER, running_orthanc

import semenet
from semenet.cli.main import main
from semenet.cli.prediction.archive import parse_query
from semenet.data.phantom.dicom_instance import dicom_instance
from semenet.data.phantom.frontal import draw_radiograph
from semenet.serving.cascade.cascade import Cascade
from semenet.serving.dicomweb import study_predictions
from semenet.serving.dicomweb.archive import Archive, ArchiveError
from semenet.serving.dicomweb.eligible_images import header_objection
from semenet.serving.dicomweb.study_predictions import predict_studies

DX = {"ModalitiesInStudy": "DX"}


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    return hand_made_cascade(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        yield url


@pytest.fixture
def credentials(monkeypatch):
    monkeypatch.setenv("SEMENET_DICOMWEB_USER", USER)
    monkeypatch.setenv("SEMENET_DICOMWEB_PASSWORD", PASSWORD)


def instance(patient, number=0, study="1", **changes):
    image = draw_radiograph("virus", size=64, seed=number).image
    dataset = pydicom.dcmread(io.BytesIO(dicom_instance(image, patient, number, study)))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_results_lie_in_the_archive_as_series_of_the_study(orthanc, credentials, cascade, tmp_path, capsys):
    archive = Archive(orthanc)
    films = [instance("stored", 0), instance("stored", 1)]
    for film in films:
        archive.store(film)
    study = films[0].StudyInstanceUID
    out = tmp_path / "table.csv"
    main(["predict", str(cascade), "--dicomweb", orthanc, "--study", study, "--out", str(out), "--store"])
    table = pd.read_csv(out)
    assert set(table["study"]) == {study}
    assert sorted(table["instance"]) == sorted(film.SOPInstanceUID for film in films)
    files = []
    for film in films:
        files.append(tmp_path / f"{film.SOPInstanceUID}.dcm")
        film.save_as(files[-1])
    alone = semenet.predict(cascade, files)
    columns = list(Cascade.open(cascade).class_names)
    of_film = table.set_index("instance").loc[[film.SOPInstanceUID for film in films], columns]
    np.testing.assert_allclose(of_film, alone[columns], rtol=1e-6)
    assert sorted(one.modality for one in archive.instances(study)) == sorted(
        ["DX", "SR", "SEG", "OT", "OT"] * 2
    )
    assert "studies: 1, radiographs: 2, other instances: 0" in capsys.readouterr().err
    # A second run adds nothing, and takes no picture of its own for a radiograph.
    main(["predict", str(cascade), "--dicomweb", orthanc, "--study", study, "--out", str(out), "--store"])
    assert len(archive.instances(study)) == 10
    assert "radiographs: 2, other instances: 8" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_csv(out), table)


def test_a_stopped_run_goes_on_and_repeats_and_loses_none(
    orthanc, credentials, cascade, tmp_path, monkeypatch
):
    archive = Archive(orthanc)
    films = [instance("stopped", number) for number in range(4)]
    for film in films:
        archive.store(film)
    study, out = films[0].StudyInstanceUID, tmp_path / "table.csv"
    stored, fetched = [], []
    store, fetch = Archive.store, Archive.fetch

    def store_some(self, dataset):
        if len(stored) == 10:
            raise KeyboardInterrupt
        stored.append(dataset.SOPInstanceUID)
        store(self, dataset)

    monkeypatch.setattr(Archive, "fetch", lambda self, one: fetched.append(one.uid) or fetch(self, one))
    options = {"studies": [study], "store": True, "batch_size": 2}
    with monkeypatch.context() as stopping:
        stopping.setattr(Archive, "store", store_some)
        with pytest.raises(KeyboardInterrupt):
            predict_studies(cascade, orthanc, out, **options)
    assert not out.exists()
    fetched.clear()
    table = predict_studies(cascade, orthanc, out, **options)
    # The first batch was done.
    done = sorted(film.SOPInstanceUID for film in films)[2:]
    assert set(fetched) - set(stored) == set(done)
    assert len(table) == 4
    kinds = [one.modality for one in archive.instances(study)]
    assert sorted(kinds) == sorted(["DX", "SR", "SEG", "OT", "OT"] * 4)


def test_a_broken_instance_is_listed_and_does_not_stop_the_others(orthanc, credentials, cascade, tmp_path):
    archive = Archive(orthanc)
    good, broken = instance("broken", 0), instance("broken", 1)
    broken.PixelData = broken.PixelData[:100]
    lateral, hand = instance("broken", 2, ViewPosition="LL"), instance("broken", 3, BodyPartExamined="HAND")
    for film in (good, broken, lateral, hand):
        archive.store(film)
    table = predict_studies(cascade, orthanc, tmp_path / "table.csv", studies=[good.StudyInstanceUID])
    table = table.set_index("instance")
    assert table.loc[good.SOPInstanceUID, "predicted"] in Cascade.open(cascade).class_names
    assert table.loc[broken.SOPInstanceUID, ["predicted", "reason"]].tolist() == ["error", "unreadable"]
    assert table.loc[lateral.SOPInstanceUID, ["predicted", "reason"]].tolist() == ["rejected", "header_view"]
    assert table.loc[hand.SOPInstanceUID, "reason"] == "header_body_part"
    errors = pd.read_csv(tmp_path / "table_errors.csv")
    assert errors["instance"].tolist() == [broken.SOPInstanceUID]


def test_studies_are_found_by_a_query(orthanc, credentials):
    archive = Archive(orthanc)
    films = [instance(f"query{number}") for number in range(3)]
    for film in films:
        archive.store(film)
    assert {film.StudyInstanceUID for film in films} <= set(archive.find_studies(DX))
    assert list(archive.find_studies({"PatientID": "query1"})) == [films[1].StudyInstanceUID]
    assert list(archive.find_studies({"ModalitiesInStudy": "MR"})) == []


def test_wrong_credentials_are_told(orthanc, monkeypatch, cascade, tmp_path):
    monkeypatch.delenv("SEMENET_DICOMWEB_USER", raising=False)
    with pytest.raises(
        ArchiveError, match="refused access.*Received: no credentials. Set SEMENET_DICOMWEB_TOKEN"
    ):
        predict_studies(cascade, orthanc, tmp_path / "t.csv", query=DX)
    monkeypatch.setenv("SEMENET_DICOMWEB_TOKEN", "wrong")
    with pytest.raises(ArchiveError, match="HTTP 401.*Received: SEMENET_DICOMWEB_TOKEN"):
        list(Archive(orthanc).find_studies(DX))
    monkeypatch.delenv("SEMENET_DICOMWEB_TOKEN")
    monkeypatch.setenv("SEMENET_DICOMWEB_USER", "reader")
    with pytest.raises(ArchiveError, match="only SEMENET_DICOMWEB_USER"):
        Archive(orthanc)


def test_an_archive_that_goes_away_stops_the_work_without_rows_for_the_rest(
    orthanc, credentials, cascade, tmp_path, monkeypatch
):
    film = instance("away")
    Archive(orthanc).store(film)

    def gone(*_, **__):
        import requests

        raise requests.exceptions.ConnectionError("refused")

    out = tmp_path / "table.csv"
    archive = Archive(orthanc)
    monkeypatch.setattr(archive._client, "retrieve_instance", gone)
    with pytest.raises(ArchiveError, match="must answer.*could not fetch.*the same command resumes"):
        predict_studies(cascade, archive, out, studies=[film.StudyInstanceUID])
    assert len(predict_studies(cascade, orthanc, out, studies=[film.StudyInstanceUID])) == 1


def test_an_unknown_certificate_is_told(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ArchiveError, match="certificate.*must be trusted.*REQUESTS_CA_BUNDLE"):
            list(Archive(f"https://127.0.0.1:{server.server_address[1]}").find_studies(DX))
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store"], "Received: no --dicomweb"),
        (["film.png", "--dicomweb", "http://x"], "Received: --dicomweb http://x with film.png"),
        (["--dicomweb", "http://x", "--tta", "2"], "with --on-error, --tta"),
        (["--dicomweb", "http://x"], "Give --study UID, or --query"),
        ([], "needs radiographs. Received: none"),
    ],
)
def test_arguments_that_do_not_go_together_are_told(arguments, message, cascade, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(cascade), *arguments, "--out", str(tmp_path / "t.csv")])
    assert message in " ".join(capsys.readouterr().err.split())


def test_queries():
    assert parse_query(["Modality=DX", "StudyDate=20200101-"]) == {
        "ModalitiesInStudy": "DX",
        "StudyDate": "20200101-",
    }
    with pytest.raises(semenet.SemenetError, match="NAME=VALUE. Received: 'DX'"):
        parse_query(["DX"])


def test_what_headers_object_to():
    assert header_objection(instance("a")) is None
    assert header_objection(instance("a", BodyPartExamined="")) is None
    assert header_objection(instance("a", BodyPartExamined="PORT CHEST")) is None
    assert header_objection(instance("a", ViewPosition="AP")) is None
    assert header_objection(instance("a", ViewPosition="LATERAL")) == "header_view"
    lateral = instance("a")
    lateral.ViewCodeSequence[0].CodeValue = "399067008"
    assert header_objection(lateral) == "header_view"
    assert header_objection(instance("a", BodyPartExamined="RIB")) == "header_body_part"
    assert header_objection(instance("a", BodyPartExamined="KNEE")) == "header_body_part"
    own = instance("a", Manufacturer="the semenet developers")
    assert header_objection(own) == study_predictions.OWN_RESULT
