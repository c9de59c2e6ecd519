"""Files that others can read are found. Spec: 17, 172-177."""

from pathlib import Path

from bennu.encryption.file_modes import file_mode_warning, files_open_to_others, sqlite_files


def test_only_existing_files_that_others_can_read_are_named(tmp_path: Path) -> None:
    modes = {"private": 0o600, "group": 0o640, "world": 0o604, "writable": 0o602}
    for name, mode in modes.items():
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    found = files_open_to_others([tmp_path / name for name in (*modes, "absent")])
    assert [path.name for path in found] == ["group", "world", "writable"]
    warning = file_mode_warning(found[0])
    assert "0640" in warning
    assert f"chmod 600 {found[0]}" in warning


def test_a_sqlite_database_is_several_files(tmp_path: Path) -> None:
    names = [path.name for path in sqlite_files(tmp_path / "phoenix.db")]
    assert names == ["phoenix.db", "phoenix.db-wal", "phoenix.db-shm", "phoenix.db-journal"]
    assert files_open_to_others([tmp_path]) == ()
