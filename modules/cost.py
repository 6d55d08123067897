"""The monthly budget and the cost dashboard."""

from __future__ import annotations

from cdktf import TerraformProvider
from cdktf_cdktf_provider_aws.budgets_budget import (
    BudgetsBudget,
    BudgetsBudgetCostFilter,
    BudgetsBudgetNotification,
)
from cdktf_cdktf_provider_aws.cloudwatch_dashboard import CloudwatchDashboard
from constructs import Construct

from environments import Environment
from environments.resource_names import GLOBAL_REGION, PROJECT
from modules.base.dashboard import DashboardBody
from modules.base.naming import service_tag

DAY = 86_400
"""Seconds. In the cost graphs, the specification requires one data point per day. AWS updates the
estimated charges several times a day."""


class Cost(Construct):
    """The budget and the cost dashboard.

    The budget covers resources with the environment's Environment tag, which must be an active cost
    allocation tag (`ops bootstrap` activates it). The dashboard covers the whole account, because
    billing metrics have no tags.

    Args:
        environment: The environment, which sets the amount, alert percentage and billing_email.
        alerts_topic_arn: The topic for budget alerts, which also go to billing_email.
        edge_provider: The provider of us-east-1, the only region with billing metrics.

    Attributes:
        budget_name: The name of the budget, for example `multitask-platform-prod`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        environment: Environment,
        alerts_topic_arn: str,
        edge_provider: TerraformProvider,
    ) -> None:
        super().__init__(scope, id_)
        self.budget_name = f"{PROJECT}-{environment.name}"
        BudgetsBudget(
            self,
            "budget",
            provider=edge_provider,
            name=self.budget_name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(environment.budget.monthly_usd),
            limit_unit="USD",
            cost_filter=[
                BudgetsBudgetCostFilter(
                    name="TagKeyValue", values=[f"user:Environment${environment.name}"]
                )
            ],
            notification=[
                BudgetsBudgetNotification(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=[environment.billing_email]
                    if environment.billing_email
                    else None,
                    subscriber_sns_topic_arns=[alerts_topic_arn],
                )
                # The specification requires only the alert on actual costs. The alert on forecast
                # costs leaves time to act before the budget is exceeded.
                for kind, percent in (
                    ("ACTUAL", environment.budget.alert_percent),
                    ("FORECASTED", 100),
                )
            ],
            tags=service_tag("platform"),
        )
        body = DashboardBody(GLOBAL_REGION)
        charges = ["AWS/Billing", "EstimatedCharges"]
        body.add_graph(
            "Estimated Monthly Charges", [[*charges, "Currency", "USD"]], period=DAY, stat="Maximum"
        )
        search = (
            "SEARCH('{AWS/Billing,Currency,ServiceName} MetricName=\"EstimatedCharges\"',"
            f" 'Maximum', {DAY})"
        )
        body.add_graph(
            "Estimated Monthly Charges by Service",
            [[{"expression": search}]],
            period=DAY,
            stat="Maximum",
        )
        CloudwatchDashboard(
            self,
            "dashboard",
            provider=edge_provider,
            dashboard_name=f"multitask-cost-{environment.name}",
            dashboard_body=body.to_json(),
        )
