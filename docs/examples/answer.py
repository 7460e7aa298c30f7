"""A report in one file: the answer in a few lines of text, for a chat or a mail."""

import benchbench as bb


class Answer(bb.Report):
    """``answer.txt``: for every amount of data what to do, and why not to trust it where that is so."""

    name = "answer"

    def write(self, dossier, folder):
        lines = [f"{dossier.board.benchmark}: {dossier.board.dataset}, {len(dossier.board.seeds)} seeds"]
        for board in dossier.boards:
            lines.append(f"- {board.setting.text}: {board.verdict.text}")
            lines += [f"  (not to be trusted: {warning})" for warning in board.warnings]
        lines += [f"  {row.info.name} failed" for board in dossier.boards for row in board.rows if row.info.failures]
        path = folder / "answer.txt"
        path.write_text("\n".join([*lines, dossier.command, ""]), encoding="utf-8")
        return [path]


@bb.hookimpl
def benchbench_reports():
    return [Answer]
