"""boto3's own transfers with its defaults, which ours are measured against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganlib.storage.s3 import connect


class PlainTransfers:
    """Files to and from s3://bucket/prefix as the AWS documentation shows it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.client: Any = connect()

    def upload(self, key: str, path: Path) -> None:
        self.client.upload_file(str(path), self.bucket, f"{self.prefix}/{key}")

    def download(self, key: str, path: Path) -> None:
        self.client.download_file(self.bucket, f"{self.prefix}/{key}", str(path))
