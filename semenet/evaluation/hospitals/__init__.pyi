from .hospital_evaluation import evaluate_hospitals as evaluate_hospitals

__all__ = ["evaluate_hospitals"]
