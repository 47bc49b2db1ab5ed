"""The bucket and the role: no lint, made on moto, and no more rights than ganlib's storage uses."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint import ManualArgs, decode, lint_by_config
from moto import mock_aws

TEMPLATE = Path(__file__).resolve().parents[2] / "infra" / "aws" / "storage.yaml"


def lint(text: str, folder: Path) -> list[str]:
    file = folder / "template.yaml"
    file.write_text(text)
    return [match.rule.id for match in lint_by_config(ManualArgs(templates=[str(file)]))]


def test_cfn_lint_finds_nothing_and_would_find_a_planted_mistake(tmp_path: Path) -> None:
    text = TEMPLATE.read_text()
    assert lint(text, tmp_path) == []
    assert lint(text.replace("SSEAlgorithm: AES256", "SSEAlgorithm: ROT13"), tmp_path)


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, str]]:
    """The outputs of the stack on moto."""
    before = dict(os.environ)
    os.environ.update(
        AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="eu-west-1"
    )
    os.environ.pop("AWS_ENDPOINT_URL_S3", None)
    try:
        with mock_aws():
            formation: Any = boto3.client("cloudformation")
            formation.create_stack(
                StackName="ganlib",
                TemplateBody=TEMPLATE.read_text(),
                Parameters=[{"ParameterKey": "BucketName", "ParameterValue": "team-ganlib"}],
                Capabilities=["CAPABILITY_IAM"],
            )
            (made,) = formation.describe_stacks(StackName="ganlib")["Stacks"]
            assert made["StackStatus"] == "CREATE_COMPLETE"
            yield {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_bucket_is_encrypted_versioned_and_not_public(stack: dict[str, str]) -> None:
    """What moto's CloudFormation passes over (it says which) is put by S3's own calls, as it is."""
    s3: Any = boto3.client("s3")
    bucket = "team-ganlib"
    assert stack["Uri"] == f"s3://{bucket}/ganlib"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    template, wrong = decode.decode(str(TEMPLATE))
    assert not wrong
    properties = template["Resources"]["Bucket"]["Properties"]
    s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"]
    )
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    block = properties["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert (len(found), set(found.values())) == (4, {True})
    rules = {one["Id"]: one for one in properties["LifecycleConfiguration"]["Rules"]}
    assert template["Parameters"]["OldVersionsDays"]["Default"] == 30
    days = rules["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"]
    assert days == {"Ref": "OldVersionsDays"}
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 3
    policy = template["Resources"]["OnlyEncryptedConnections"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert template["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"


def test_the_role_may_what_storage_does_below_the_prefix_and_no_more(
    stack: dict[str, str],
) -> None:
    iam: Any = boto3.client("iam")
    role = stack["RoleArn"].rpartition("/")[2]
    policy = iam.get_role_policy(RoleName=role, PolicyName="the-prefix-of-the-bucket")
    document = ast.literal_eval(policy["PolicyDocument"])  # moto writes it as Python does
    statements = {one["Sid"]: one for one in document["Statement"]}
    objects, names = statements["Objects"], statements["Names"]
    assert objects["Resource"] == "arn:aws:s3:::team-ganlib/ganlib/*"
    assert set(objects["Action"]) == {
        "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
        "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
    }  # fmt: skip
    assert names["Action"] == "s3:ListBucket"
    # With StringLike an object that is not there would be answered 403: HeadObject has no prefix.
    assert names["Condition"] == {"StringLikeIfExists": {"s3:prefix": ["ganlib/*"]}}
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert [one["Principal"] for one in trust] == [{"Service": "pods.eks.amazonaws.com"}]
