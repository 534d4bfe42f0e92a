"""The account behind the relay's key: what was granted and what is used, in new-api's points.

Every answer that is not scripted costs a little, so that a test can see the balance fall.
"""

from dataclasses import dataclass

POINTS_PER_UNIT = 500_000
"""How many of new-api's points are one unit of the currency that is shown."""

ANSWER_POINTS, IMAGE_POINTS = 100, 20_000
"""What an answer costs, and what each image costs: 0.0002 and 0.04 units."""

UNLIMITED = 100_000_000.0
"""The limit that new-api shows for a key without one."""


@dataclass
class Account:
    """What a key may spend.

    Attributes:
        granted_points: How many points it was granted.
        used_points: How many of them are used.
        unlimited: Whether it may use more than was granted.
        name: The key's name in the panel.
    """

    granted_points: int = 1000 * POINTS_PER_UNIT
    used_points: int = 0
    unlimited: bool = False
    name: str = "stand-in"

    @property
    def balance(self) -> float:
        """What is left, in units of the currency; setting it leaves what was used as it is."""
        return (self.granted_points - self.used_points) / POINTS_PER_UNIT

    @balance.setter
    def balance(self, units: float) -> None:
        self.granted_points = self.used_points + round(units * POINTS_PER_UNIT)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return not self.unlimited and self.used_points >= self.granted_points

    def charge(self, points: int) -> None:
        """Add the cost of an answer; the last one may cost more than was left, as behind new-api."""
        self.used_points += points

    def subscription(self) -> dict[str, object]:
        """Return the limits as ``/v1/dashboard/billing/subscription`` does, in units."""
        limit = UNLIMITED if self.unlimited else self.granted_points / POINTS_PER_UNIT
        return {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            # new-api writes 0 for a key that never ends.
            "access_until": 0,
        }

    def usage(self) -> dict[str, object]:
        """Return what was used as ``/v1/dashboard/billing/usage`` does, in hundredths of a unit."""
        # Hundredths, as OpenAI's old dashboard counted cents (WIRE.md 6).
        return {"object": "list", "total_usage": self.used_points * 100 / POINTS_PER_UNIT}

    def token_usage(self) -> dict[str, object]:
        """Return the key's account as ``/api/usage/token`` does, in points."""
        data: dict[str, object] = {
            "object": "token_usage",
            "name": self.name,
            "total_granted": self.granted_points,
            "total_used": self.used_points,
            "total_available": self.granted_points - self.used_points,
            "unlimited_quota": self.unlimited,
            "model_limits": {},
            "model_limits_enabled": False,
            "expires_at": 0,
        }
        return {"code": True, "message": "ok", "data": data}
